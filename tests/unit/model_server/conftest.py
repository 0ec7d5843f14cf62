"""The example server is no part of the package: its folder joins the path for these tests alone."""

import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "model-server"
sys.path.insert(0, str(EXAMPLE))


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    import train  # noqa: PLC0415 - importable only after the line above

    folder = tmp_path_factory.mktemp("model")
    train.train(folder, version="7", name="iris", estimator="logistic")
    return folder / "model.joblib"
