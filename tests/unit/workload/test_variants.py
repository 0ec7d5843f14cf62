"""Variants of an A/B test: what each is made of, and the same revision once it is written into the spec."""

import json

import pytest

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Settings
from modelrollout.workload.render import accept
from modelrollout.workload.variants import SHOWN

SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})
BASE = {
    "version": "1",
    "server": {
        "image": "fraud:1",
        "env": [{"name": "TEMPERATURE", "value": "0.7"}, {"name": "WORKERS", "value": "2"}],
        "resources": {"limits": {"memory": "1Gi"}},
    },
    "template": {"spec": {"containers": [{"name": "server", "args": ["--fast"]}], "nodeSelector": {"pool": "models"}}},
    "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
}


def spec_with(*variants, **rollout):
    return BASE | {"rollout": {"strategy": "ABTest", "variants": list(variants)} | rollout}


def arm(name="b", weight=20, **fields):
    return {"name": name, "weight": weight, **fields}


def accepted(*variants, **rollout):
    return accept(spec_with(*variants, **rollout), SETTINGS, "fraud")


def refused(*variants, **rollout):
    with pytest.raises(SpecError) as found:
        accepted(*variants, **rollout)
    return str(found.value)


def test_a_variant_has_the_fields_of_the_spec_with_its_own_laid_over_them():
    found = accepted(arm(version="2", server={"image": "fraud:2", "env": [{"name": "TEMPERATURE", "value": "0.2"}]}))
    inputs = found.variants[0].record.inputs
    assert inputs["server"] == {
        "image": "fraud:2",
        "env": [{"name": "TEMPERATURE", "value": "0.2"}, {"name": "WORKERS", "value": "2"}],
        "resources": {"limits": {"memory": "1Gi"}},
    }
    container = found.variants[0].record.template["spec"]["containers"][0]
    assert (container["image"], container["args"]) == ("fraud:2", ["--fast"])
    assert found.record.template["spec"]["containers"][0]["image"] == "fraud:1"


def test_whoever_writes_the_winner_into_the_spec_gets_the_same_revision():
    won = accepted(arm(version="2", server={"image": "fraud:2"})).variants[0]
    written = BASE | {"version": "2", "server": BASE["server"] | {"image": "fraud:2"}}
    assert accept(written, SETTINGS, "fraud").revision == won.revision
    assert accept(written, SETTINGS, "fraud").record == won.record


def test_what_is_to_be_written_is_what_the_variant_names():
    own = accepted(arm(version="2", server={"image": "fraud:2"})).target.arms[0].written
    assert json.loads(own) == {"version": "2", "server": {"image": "fraud:2"}}


def test_a_long_variant_is_cut_in_messages_alone():
    own = accepted(arm(template={"metadata": {"annotations": {"note": "x" * 2000}}})).target.arms[0].written
    assert len(own) == SHOWN + 1


def test_the_control_is_the_specs_own_version():
    found = accepted(arm(version="2"))
    assert found.target.revision == accept(BASE, SETTINGS, "fraud").revision.revision


def test_shares_and_order_are_not_what_a_test_is_but_versions_and_names_are():
    first, second = arm("b", 20, version="2"), arm("c", 30, version="3")
    test = accepted(first, second).target.experiment
    assert accepted(second, first | {"weight": 5}).target.experiment == test
    assert accepted(first, second | {"version": "4"}).target.experiment != test
    assert accepted(first, second | {"name": "d"}).target.experiment != test
    assert accepted(first).target.experiment != test
    assert accept(BASE, SETTINGS, "fraud").target.experiment == ""


def test_a_variant_that_is_the_control_under_another_name_is_refused():
    assert "variants[0]: variant b is the same as the control" in refused(arm(version="1"))


def test_two_variants_of_one_version_are_refused():
    text = refused(arm("b", version="2"), arm("c", version="2"))
    assert "variants[1]: variant c is the same as variant b; it must differ in version, model" in text


def test_a_fault_in_a_variant_names_the_variant_and_the_field():
    text = refused(arm(template={"spec": {"hostNetwork": True}}))
    assert text.startswith("spec.rollout.variants[0]: variant b, merged over the spec: spec.template.spec.hostNetwork")


def test_a_runtime_that_is_not_set_up_is_refused_in_a_variant():
    assert "variant b, merged over the spec" in refused(arm(server={"runtime": "Nonesuch"}))


def test_a_goal_needs_metrics():
    goal = {"ratio": {"good": {"series": "hits"}, "total": {"series": "users"}}}
    with pytest.raises(SpecError, match="a goal is measured"):
        accept(spec_with(arm(version="2"), goal=goal) | {"analysis": {"mode": "None"}}, SETTINGS, "fraud")


def test_no_metric_has_the_name_of_the_goal():
    goal = {"ratio": {"good": {"series": "hits"}, "total": {"series": "users"}}}
    metrics = {"metrics": [{"name": "goal", "errorRate": {}, "compare": {}}]}
    with pytest.raises(SpecError, match="choose another name"):
        accept(spec_with(arm(version="2"), goal=goal) | {"analysis": metrics}, SETTINGS, "fraud")


def judged_by(count, *metrics):
    variants = [arm(f"v{number}", 5, version=f"9.{number}") for number in range(count)]
    return spec_with(*variants) | {"analysis": {"metrics": list(metrics)}}


def test_status_has_to_hold_the_evidence_of_all_variants():
    several = [{"name": f"m{number}", "errorRate": {}, "compare": {}} for number in range(4)]
    boundless = {"name": "latency", "latency": {}, "compare": {}}
    accept(judged_by(3, *several), SETTINGS, "fraud")
    with pytest.raises(SpecError, match="found 4 metrics for 4 variants, of which status can keep 12 in all"):
        accept(judged_by(4, *several), SETTINGS, "fraud")
    accept(judged_by(3, boundless), SETTINGS, "fraud")
    with pytest.raises(SpecError, match="found 1 latency without a threshold for 4 variants"):
        accept(judged_by(4, boundless), SETTINGS, "fraud")
