"""What a spec leaves out, as the decision core reads it."""

import pytest

from modelrollout.api.analysis import Metric, OnInconclusive, StepKind
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.plan import resolve

SERVER = {"server": {"image": "registry.example.com/fraud:2"}}
ERRORS = {"name": "errors", "errorRate": {}, "limit": "2%"}


def plan_of(settings=None, preset=(), **spec):
    return resolve(ModelDeploymentSpec.model_validate({**SERVER, **spec}), settings or Settings(), preset)


def steps_of(*steps):
    return plan_of(rollout={"steps": list(steps)}).steps


def test_the_default_steps_are_those_of_the_contract():
    found = [(int(step.weight), step.hold) for step in plan_of().steps]
    assert found == [(100, 3600), (500, 10_800), (1000, 14_400), (2500, 57_600), (5000, 86_400), (FULL_WEIGHT, 0)]


def test_the_default_deadlines_are_those_of_the_contract():
    plan = plan_of()
    assert (plan.load_deadline, plan.unavailable_deadline, plan.scale_down_delay, plan.keep_failed) == (
        900,
        120,
        900,
        600,
    )
    assert (plan.interval, plan.warm_up, plan.no_data_deadline) == (15, 60, 3600)
    assert plan.on_inconclusive is OnInconclusive.HOLD


def test_steps_that_stop_below_100_get_a_last_one_at_100():
    assert [step.name for step in steps_of({"weight": 10}, {"weight": 50})] == ["weight-10", "weight-50", "weight-100"]


def test_steps_that_reach_100_get_no_other():
    assert [step.name for step in steps_of({"weight": 100, "hold": "1h"})] == ["weight-100"]


def test_a_fraction_of_a_percent_makes_a_name_that_kubernetes_takes():
    assert steps_of({"weight": "0.5%"})[0].name == "weight-0-5"


def test_steps_of_one_weight_get_names_of_their_own():
    names = [step.name for step in steps_of({"weight": 100, "hold": "1h"}, {"weight": 100, "hold": "2h"})]
    assert names == ["weight-100", "weight-100-2"]


@pytest.mark.parametrize(
    ("hold", "written", "seconds"), [("10m", None, 3600), ("1h", None, 10_800), ("10m", "20m", 1200)]
)
def test_a_step_may_last_three_times_its_hold_but_at_least_an_hour(hold, written, seconds):
    step = {"weight": 5, "hold": hold} | ({"maxDuration": written} if written else {})
    assert steps_of(step)[0].max_duration == seconds


def test_a_step_at_100_is_a_bake_and_any_other_is_live():
    assert [step.kind for step in steps_of({"weight": 99}, {"weight": 100})] == [StepKind.LIVE, StepKind.BAKE]


def test_a_step_of_weight_0_is_a_preview():
    assert steps_of({"weight": 0}, {"weight": 5})[0].kind is StepKind.PREVIEW


def test_blue_green_is_a_preview_until_it_is_approved_one_switch_and_a_bake():
    plan = plan_of(rollout={"strategy": "BlueGreen"})
    found = [(step.name, int(step.weight), step.hold, step.approval) for step in plan.steps]
    assert found == [("preview", 0, 0, True), ("bake", FULL_WEIGHT, 3600, False)]
    assert plan.full_candidate


def test_blue_green_names_steps_by_what_they_are_and_leaves_names_that_were_given():
    steps = [{"weight": 0, "hold": "5m"}, {"name": "look", "weight": "0%"}, {"weight": 100, "hold": "1h"}]
    plan = plan_of(rollout={"strategy": "BlueGreen", "steps": steps, "candidateReplicas": "Proportional"})
    assert [step.name for step in plan.steps] == ["preview", "look", "bake"]
    assert not plan.full_candidate


def test_blue_green_that_only_previews_switches_afterwards():
    steps = plan_of(rollout={"strategy": "BlueGreen", "steps": [{"weight": 0, "hold": "5m"}]}).steps
    assert [(step.name, int(step.weight)) for step in steps] == [("preview", 0), ("bake", FULL_WEIGHT)]


def test_canary_named_or_not_is_one_thing():
    assert plan_of(rollout={"strategy": "Canary"}).steps == plan_of().steps
    assert not plan_of(rollout={"strategy": "Canary"}).full_candidate


def test_autoscaling_starts_from_its_fewest_pods():
    plan = plan_of(autoscaling={"minReplicas": 2, "maxReplicas": 9})
    assert (plan.replicas, plan.autoscaled) == (2, (2, 9))


def test_no_replicas_means_one_and_zero_means_zero():
    assert (plan_of().replicas, plan_of(replicas=0).replicas) == (1, 0)


def test_metrics_of_the_preset_are_used_where_the_spec_names_none():
    preset = (Metric.model_validate(ERRORS),)
    assert plan_of(preset=preset).metrics == preset
    assert plan_of(preset=preset, analysis={"metrics": [{**ERRORS, "name": "mine"}]}).metrics[0].name == "mine"


def test_mode_none_judges_nothing():
    plan = plan_of(preset=(Metric.model_validate(ERRORS),), analysis={"mode": "None"})
    assert (plan.judged, plan.metrics) == (False, ())


def test_an_interval_below_the_administrators_minimum_is_raised():
    settings = Settings.model_validate({"minimumInterval": "10s"})
    assert plan_of(settings, analysis={"interval": "1s"}).interval == 10


def test_the_name_of_a_plan_speaks_of_rollout_and_analysis_not_of_the_version():
    one = plan_of(version="1", rollout={"paused": False})
    assert one.digest == plan_of(version="2", rollout={"paused": False}).digest
    assert one.digest != plan_of(version="1", rollout={"paused": True}).digest


def test_the_router_is_the_gateway_where_one_is_named():
    gateway = {"gateway": {"parentRefs": [{"name": "public"}]}}
    assert (plan_of().router, plan_of(traffic=gateway).router) == ("Service", "Gateway")
    assert plan_of(traffic={"service": {"coarse": "Accept"}}).coarse
