import json
import os
import subprocess
import sys

import joblib
import pytest
import train
from modelserver.model import ModelError, load
from modelserver.settings import Settings

from tests.unit.model_server.conftest import EXAMPLE

SETOSA = [5.1, 3.5, 1.4, 0.2]
VIRGINICA = [6.3, 3.3, 6.0, 2.5]


def train_in_a_new_process(folder, *, hash_seed, estimator="forest"):
    command = [sys.executable, str(EXAMPLE / "train.py"), "--out", str(folder), "--estimator", estimator]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def test_training_twice_in_two_processes_gives_the_same_bytes(tmp_path):
    first = train_in_a_new_process(tmp_path / "a", hash_seed="1")
    second = train_in_a_new_process(tmp_path / "b", hash_seed="2")
    assert (tmp_path / "a/model.joblib").read_bytes() == (tmp_path / "b/model.joblib").read_bytes()
    assert first == second


def test_the_two_estimators_are_different_models_that_both_tell_the_flowers_apart(tmp_path):
    answers = {}
    for estimator in train.ESTIMATORS:
        metadata = train.train(tmp_path / estimator, version="1", name="iris", estimator=estimator)
        assert metadata["accuracy"] > 0.9
        model = load(Settings(path=tmp_path / estimator / "model.joblib"))
        assert model.predict(SETOSA)[0] == 0
        assert model.predict(VIRGINICA)[0] == 2
        answers[estimator] = model.predict(VIRGINICA)[1]
    assert answers["forest"] != answers["logistic"]


def test_the_metadata_on_disk_are_those_returned_and_name_every_feature(model_path):
    metadata = json.loads(model_path.with_suffix(".json").read_text())
    model = load(Settings(path=model_path))
    assert (model.name, model.version) == ("iris", "7")
    assert model.features == tuple(metadata["features"])
    assert len(model.features) == 4


def test_the_deployer_names_the_version_and_not_the_file(model_path):
    model = load(Settings(path=model_path, name="fraud", version="2024-05"))
    assert (model.name, model.version) == ("fraud", "2024-05")


def test_a_model_without_metadata_is_served_with_numbered_features(model_path, tmp_path):
    bare = tmp_path / "model.pkl"
    bare.write_bytes(model_path.read_bytes())
    model = load(Settings(path=bare))
    assert model.features == ("feature 1", "feature 2", "feature 3", "feature 4")
    assert model.version == "unknown"


def test_a_truncated_model_is_refused_by_its_checksum(model_path, tmp_path):
    (tmp_path / "model.json").write_bytes(model_path.with_suffix(".json").read_bytes())
    (tmp_path / "model.joblib").write_bytes(model_path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=r"SHA-256 is \w+, but model.json says"):
        load(Settings(path=tmp_path / "model.joblib"))


def test_a_file_that_holds_no_classifier_is_refused_by_what_it_is(tmp_path):
    joblib.dump([1, 2], tmp_path / "model.joblib")
    with pytest.raises(ModelError, match="expected a classifier with predict_proba, found list"):
        load(Settings(path=tmp_path / "model.joblib"))
