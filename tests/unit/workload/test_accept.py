"""The gate that every spec goes through: what passes, and the words for what does not."""

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Settings
from modelrollout.workload.presets import find, known
from modelrollout.workload.render import accept
from tests import strategies

SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})
GATEWAY = {"gateway": {"parentRefs": [{"name": "public"}]}}


def spec_with(**fields):
    return {"server": {"image": "fraud:2"}, "replicas": 3, "traffic": GATEWAY} | fields


def steps(*written):
    return {"rollout": {"steps": list(written)}}


def metric(**fields):
    return {"analysis": {"metrics": [{"name": "m"} | fields]}}


def outcome(raw, name="fraud"):
    """What became of a spec: an Accepted, or the SpecError."""
    try:
        return accept(raw, SETTINGS, name)
    except SpecError as error:
        return error


def refused(raw, name="fraud", settings=SETTINGS):
    with pytest.raises(SpecError) as found:
        accept(raw, settings, name)
    return found.value


def test_a_good_spec_becomes_a_plan_a_revision_and_a_record(spec):
    accepted = accept(spec, SETTINGS, "fraud")
    assert accepted.revision.version == "2"
    assert accepted.record.revision == accepted.revision.revision
    assert accepted.preset.name == "FastAPI"
    assert [step.name for step in accepted.plan.steps] == ["weight-5", "weight-25", "weight-100"]
    assert [found.name for found in accepted.plan.metrics] == ["errors", "latency"]


def test_the_smallest_spec_is_an_image():
    accepted = accept({"server": {"image": "fraud:2"}}, SETTINGS, "fraud")
    assert accepted.plan.replicas == 1
    assert accepted.record.port == 8000


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (spec_with(replica=3), "spec.replica: no such field; did you mean replicas?"),
        (spec_with(zzz=3), "spec.zzz: no such field; known here: analysis, autoscaling, model"),
        (steps({"weight": 5, "holds": "1m"}), "spec.rollout.steps[0].holds: no such field; did you mean hold?"),
        (steps({"hold": "1m"}), "spec.rollout.steps[0]: name weight or shadow"),
        (
            steps({"weight": 25}, {"weight": 10}),
            "spec.rollout.steps: weights must not fall: step 2 (10) is below step 1 (25)",
        ),
        (steps({"weight": 101}), "spec.rollout.steps[0].weight: 101"),
        (
            steps({"weight": 5, "hold": "ten minutes"}),
            "spec.rollout.steps[0].hold: 'ten minutes' is not of the form 90s",
        ),
        (steps({"weight": 5, "hold": "-5m"}), "spec.rollout.steps[0].hold: '-5m' is not of the form"),
        (
            steps({"weight": 5, "advance": "Manual"}),
            'spec.rollout.steps[0].advance: found "Manual"; use Automatic or Approval',
        ),
        (
            steps({"weight": 5, "name": "a"}, {"weight": 5, "name": "a"}),
            "spec.rollout.steps: names of steps must be unique",
        ),
        (spec_with(replicas=-1), "spec.replicas: found -1, which must be at least 0"),
        (spec_with(replicas="three"), 'spec.replicas: found "three"; a whole number is expected'),
        (spec_with(version=2), "spec.version: found 2; a text is expected; numbers and true or false need quotes"),
        (spec_with(version="-x"), 'spec.version: found "-x", which is not of the form'),
        (spec_with(model={"uri": ""}), 'spec.model.uri: found "", which must have at least 1 characters'),
        (spec_with(server=[]), "spec.server: found []; a map of fields is expected"),
        (spec_with(rollout={"steps": {}}), "spec.rollout.steps: found {}; a list is expected"),
        (spec_with(rollout={"steps": []}), "spec.rollout.steps: found [], which must have at least 1 entries"),
        (spec_with(rollout={"paused": "yes"}), 'spec.rollout.paused: found "yes"; true or false is expected'),
        (
            spec_with(traffic={"gateway": GATEWAY["gateway"], "service": {}}),
            "spec.traffic: name exactly one router, found gateway and service",
        ),
        (
            {"server": {"image": "a"}, "replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 2}},
            "spec: name either replicas or autoscaling, not both",
        ),
        ({}, "spec.server.image: an image is needed"),
        ({"server": {"runtime": "FastAPI"}}, "spec.server.image: an image is needed"),
        (
            {"template": {"spec": {"containers": [{"name": "main", "image": "a"}]}}},
            "spec.server.image: an image is needed",
        ),
        (
            spec_with(server={"image": "a", "runtime": "Torch"}),
            'spec.server.runtime: no runtime "Torch"; known here: Custom',
        ),
        (spec_with(template={"spec": {"hostNetwork": True}}), "spec.template.spec.hostNetwork: is not allowed here"),
        (spec_with(template={"spec": {}, "kind": "x"}), "spec.template.kind: no such field"),
        (spec_with(rollout={"loadDeadline": "0s"}), 'spec.rollout.loadDeadline: found "0s"; it must be more than 0s'),
        (
            spec_with(rollout={"loadDeadline": "2d"}),
            'spec.rollout.loadDeadline: found "2d"; a startup probe waits for 24h',
        ),
        (spec_with(analysis={"interval": "0s"}), "spec.analysis.interval: found"),
        (spec_with(service={"name": "fraud-preview"}), "spec.service.name"),
        (
            spec_with(service={"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
            "spec.service.ports[1].port: found 80, which ports[0] has too",
        ),
        (
            spec_with(**metric(errorRate={}, limit="200%")),
            "spec.analysis.metrics[0].limit: '200%' is not of the form",
        ),
        (
            spec_with(**metric(errorRate={}, method="Threshold", compare={})),
            "spec.analysis.metrics[0]: compare.margin must be named with method Threshold",
        ),
        (spec_with(**metric(errorRate={})), "spec.analysis.metrics[0]: ask at least one question"),
        (
            spec_with(**metric(errorRate={"source": "Router"}, limit="1%")),
            "spec.analysis.metrics[0].errorRate.source: ",
        ),
        (spec_with(analysis={"metrics": []}), "spec.analysis.metrics: there are none"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_the_cure(raw, text):
    raw = raw if raw.keys() & {"server", "template", "traffic"} or not raw else spec_with(**raw)
    error = refused(raw)
    assert str(error).startswith(text), str(error)
    assert error.reason == "InvalidSpec"


def test_the_name_is_part_of_what_is_judged():
    assert refused(spec_with(), name="x" * 37).field == "metadata.name"


def test_a_runtime_that_counts_nothing_needs_metrics_of_its_own_or_none():
    custom = spec_with(server={"image": "a:1", "runtime": "Custom", "port": 7})
    assert "runtime Custom brings none; name ratio or query metrics, or set" in str(refused(custom))
    assert "runtime Custom names no series for it" in str(refused(custom | metric(errorRate={}, limit="1%")))
    assert "names no series" in str(refused(custom | metric(latency={"threshold": "1s"}, limit="1%")))
    accept(custom | {"analysis": {"mode": "None"}}, SETTINGS, "fraud")
    accept(custom | metric(query="x", range={"max": "1"}), SETTINGS, "fraud")
    accept(custom | metric(ratio={"bad": {"series": "b"}, "total": {"series": "t"}}, limit="1%"), SETTINGS, "fraud")


def test_an_unknown_provider_is_refused_under_its_own_reason():
    error = refused(spec_with(analysis={"provider": "other"}))
    assert (error.reason, error.field) == ("NoMetricsProvider", "spec.analysis.provider")
    assert 'no metrics provider "other" is set up; use one of default' in error.message
    assert "ask the administrator for one, or set spec.analysis.mode: None" in str(
        refused(spec_with(), settings=Settings())
    )
    accept(spec_with(analysis={"mode": "None"}), Settings(), "fraud")


def test_paths_can_be_left_out_only_where_the_series_tell_them_apart():
    series = {"requests": {"series": "requests_total"}}
    settings = SETTINGS.model_copy(
        update={
            "runtimes": Settings.model_validate({"runtimes": [{"name": "Own", "port": 1, "series": series}]}).runtimes
        }
    )
    own = spec_with(server={"image": "a:1", "runtime": "Own"})
    text = str(refused(own | metric(errorRate={"excludePaths": ["/x"]}, limit="1%"), settings=settings))
    assert "the series of runtime Own do not tell paths apart" in text
    text = str(refused(own | metric(latency={"threshold": "1s"}, limit="1%"), settings=settings))
    assert "runtime Own names no latency histogram" in text


def test_autoscaling_by_cpu_needs_cpu_requests_of_every_container():
    scaled = {"server": {"image": "a:1"}, "traffic": GATEWAY, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}}
    assert refused(scaled).field == "spec.server.resources.requests.cpu"
    scaled["server"]["resources"] = {"requests": {"cpu": "1"}}
    accept(scaled, SETTINGS, "fraud")
    scaled["template"] = {"spec": {"containers": [{"name": "log", "image": "log:1"}]}}
    assert refused(scaled).field == "spec.template.spec.containers[log].resources.requests.cpu"
    scaled["autoscaling"]["metrics"] = [{"type": "External"}]
    accept(scaled, SETTINGS, "fraud")


def test_a_step_finer_than_the_pods_allow_is_refused_with_three_ways_on():
    raw = spec_with(traffic={}, **steps({"weight": 25}, {"weight": 50})) | {"replicas": 2}
    error = refused(raw)
    assert str(error) == (
        "spec.rollout.steps[0].weight: step weight-25 asks for 25 %, but 2 pods behind a Service can carry no share below "
        "33.33 %; name a gateway under spec.traffic, run at least 3 pods, or set spec.traffic.service.coarse: Accept"
    )
    accept(raw | {"replicas": 3}, SETTINGS, "fraud")
    accept(raw | {"traffic": {"service": {"coarse": "Accept"}}}, SETTINGS, "fraud")
    accept(raw | {"traffic": GATEWAY}, SETTINGS, "fraud")


@pytest.mark.parametrize(("replicas", "weights"), [(1, [50, 100]), (3, [25, 50, 100]), (99, [1, 5, 10, 25, 50, 100])])
def test_of_the_default_steps_those_stay_that_the_pods_can_carry(replicas, weights):
    accepted = accept({"server": {"image": "a:1"}, "replicas": replicas}, SETTINGS, "fraud")
    assert [step.weight // 100 for step in accepted.plan.steps] == weights


def test_scaled_to_zero_is_a_valid_wish():
    assert accept(spec_with(traffic={}, replicas=0), SETTINGS, "fraud").plan.replicas == 0


def test_an_administrators_preset_replaces_a_built_in_one():
    own = Settings.model_validate({"runtimes": [{"name": "FastAPI", "port": 9999}]})
    assert find(None, own).port == 9999
    assert sorted(known(own)) == ["Custom", "FastAPI"]


@given(strategies.specs(), strategies.names())
@budget(deadline=None)
def test_whatever_the_schema_takes_is_accepted_or_refused_with_a_field(raw, name):
    found = outcome(raw, name)
    if isinstance(found, SpecError):
        assert found.field.split("[")[0].split(".")[0] in ("spec", "metadata")
        assert found.message
    else:
        assert found.plan.steps[-1].weight == 10_000
        assert found.record.template["spec"]["containers"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=8,
)
POD = st.dictionaries(
    st.sampled_from(["containers", "initContainers", "volumes", "securityContext", "terminationGracePeriodSeconds"]),
    JSON
    | st.lists(
        st.dictionaries(
            st.sampled_from(
                ["name", "image", "env", "ports", "volumeMounts", "lifecycle", "readinessProbe", "resources"]
            ),
            JSON
            | st.just("server")
            | st.lists(st.fixed_dictionaries({"name": JSON, "containerPort": JSON}), max_size=2),
            max_size=5,
        ),
        max_size=2,
    ),
    max_size=4,
)


@given(POD, JSON, JSON)
@budget(deadline=None)
def test_a_template_of_any_shape_makes_a_refusal_and_never_a_crash(pod, env, resources):
    raw = spec_with(server={"image": "a:1", "env": env, "resources": resources}, template={"spec": pod})
    found = outcome(raw)
    assert not isinstance(found, SpecError) or found.field


@given(strategies.invalid_specs())
@budget(deadline=None)
def test_whatever_the_schema_refuses_is_refused_here_too(planted):
    fault, raw = planted
    assert isinstance(outcome(raw), SpecError), fault


@given(strategies.invalid_names())
def test_a_name_that_the_schema_refuses_is_refused_here_too(name):
    assert isinstance(outcome(spec_with(), name), SpecError)
