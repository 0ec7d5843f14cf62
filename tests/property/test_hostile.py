"""Hostile specs are refused or harmless: nothing but SpecError is raised, and of what is accepted nothing gets out of its place."""

import json
import re

import pytest

from modelrollout.api.depth import DEEPEST, too_deep
from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Settings
from modelrollout.controller.views import watched
from modelrollout.kube.kinds import CONTROLLER_REVISION, MODEL_DEPLOYMENT
from modelrollout.metrics import promql
from modelrollout.metrics.questions import Gauge, question
from modelrollout.runtime.store import OWNER_LABEL, Store
from modelrollout.workload.render import Accepted, accept, render
from tests.property.hostile import SOUND, WORDS, hostile, nested

SPECS = 2_000
PORTION = 500
TRAP = "http://127.0.0.1:1"
SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
FORBIDDEN = {"hostNetwork", "hostPID", "hostIPC"}


def outcome(raw):
    try:
        return accept(raw, SETTINGS, "fraud")
    except SpecError as error:
        return error


@pytest.mark.parametrize("first", range(0, SPECS, PORTION))
def test_a_hostile_spec_is_refused_in_words_or_stays_in_its_place(first):
    accepted = 0
    for number in range(first, first + PORTION):
        raw = hostile(number, TRAP)
        found = outcome(raw)
        if isinstance(found, SpecError):
            assert str(found), number
            assert "\n" not in found.field, number
            continue
        accepted += 1
        _stays(raw, found, number)
    assert 20 <= accepted <= PORTION - 100, "a generator whose specs are all refused, or all taken, shows nothing"


def _stays(raw, accepted: Accepted, number: int) -> None:
    assert accepted.plan.provider in (None, "", "default"), number
    for manifest in render("fraud", "ml", raw, SETTINGS):
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "ml", number
        assert NAME.fullmatch(metadata["name"]), (number, metadata["name"])
        for value in metadata.get("labels", {}).values():
            assert LABEL.fullmatch(value), (number, value)
        text = json.dumps(manifest)
        assert len(text) < 1_000_000, number
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            assert not pod.keys() & FORBIDDEN, number
            assert not any("hostPath" in volume for volume in pod.get("volumes", ())), number
            assert not any(one.get("securityContext", {}).get("privileged") for one in pod["containers"]), number
    for metric in accepted.plan.metrics:
        asked = question(metric, accepted.preset)
        if isinstance(asked, Gauge):
            continue
        for family in asked.families:
            query = promql.deduplicated_sum(promql.select(family.series, family.conditions), ("namespace", "pod"))
            assert _outside_of_literals(query), (number, query)


def _outside_of_literals(query: str) -> bool:
    """Whether nothing but names and operators of ours stands outside of string literals."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    return (
        re.fullmatch(r'sum by \([\w,]+\) \(max by \([\w,]+\) \(sum by \([\w,]+\) \([\w:]+\{[\w=~!,"]*\}\)\)\)', bare)
        is not None
    )


@pytest.mark.parametrize("word", WORDS)
def test_no_text_leaves_the_literal_that_it_is_put_into(word):
    for query in (
        promql.select("x", [promql.is_one_of("a", [word])]),
        promql.fill('x{a="{{version}}"}', {"version": word}),
    ):
        assert re.fullmatch(r'x\{a="(?:[^"\\\n]|\\.)*"\}', query), query


def test_the_sound_spec_is_sound():
    assert isinstance(outcome(SOUND), Accepted)


def test_depth_is_measured_without_recursion():
    for kind in (list, dict):
        assert not too_deep(nested(DEEPEST, kind))
        assert too_deep(nested(DEEPEST + 1, kind))
        assert too_deep(nested(100_000, kind))
    assert not too_deep("x")


def test_an_object_of_any_depth_is_kept_out_and_the_next_one_is_kept():
    store = Store(watched(SETTINGS), lambda _: None)
    metadata = {"namespace": "ml", "uid": "u", "resourceVersion": "5"}
    deep = nested(9_000, dict)
    store.took(
        MODEL_DEPLOYMENT.kind, {"metadata": metadata | {"name": "bad"}, "spec": SOUND | {"template": {"spec": deep}}}
    )
    labels = {OWNER_LABEL: "fraud"}
    store.took(CONTROLLER_REVISION.kind, {"metadata": metadata | {"name": "r", "labels": labels}, "data": deep})
    store.took(MODEL_DEPLOYMENT.kind, {"metadata": metadata | {"name": "good"}, "spec": SOUND})
    refusal = store.get(MODEL_DEPLOYMENT.kind, ("ml", "bad")).view.accepted
    assert isinstance(refusal, SpecError)
    assert "levels deep" in str(refusal)
    assert store.get(CONTROLLER_REVISION.kind, ("ml", "r")).view.record is None
    assert isinstance(store.get(MODEL_DEPLOYMENT.kind, ("ml", "good")).view.accepted, Accepted)
