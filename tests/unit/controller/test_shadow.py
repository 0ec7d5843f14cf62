"""Rollouts that mirror, on an API server in memory: the route, the comparer, and gateways that cannot."""

import json

import pytest

from modelrollout.kube.errors import Forbidden, Unreachable
from modelrollout.kube.kinds import DEPLOYMENT, GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, POD_MONITOR, SERVICE
from tests.fakes.loop import in_loop
from tests.fakes.stage import KEY, Stage

ROUTED = {"gateway": {"parentRefs": [{"name": "public", "namespace": "gateways"}]}}
MATCH = [{"method": "POST", "path": "/predict"}]
PLAIN = {"name": "copies", "shadow": {"percent": 50}, "hold": "12s"}
COMPARED = PLAIN | {"shadow": {"percent": 50, "match": MATCH, "compare": {"method": "Label", "path": "label"}}}
LIVE = {"name": "live", "weight": 10, "advance": "Approval"}
FOREVER = {"advance": "Approval"}


def gateway(stage, *features, name="public", class_name="shiny"):
    body = {"apiVersion": GATEWAY.api_version, "kind": "Gateway", "metadata": {"namespace": "gateways", "name": name}}
    stage.api.put(body | {"spec": {"gatewayClassName": class_name}})
    body = {"apiVersion": GATEWAY.api_version, "kind": "GatewayClass", "metadata": {"name": class_name}}
    raw = stage.api.put(body | {"spec": {}})
    stage.api.objects[next(ref for ref in stage.api.objects if ref.kind == GATEWAY_CLASS)] = dict(raw) | {
        "status": {"supportedFeatures": [{"name": feature} for feature in features]}
    }


async def begun(*steps, features=(), **fields):
    """Version 1 serves, and version 2 is applied."""
    stage = Stage()
    gateway(stage, *features)
    rollout = {"steps": [*steps, LIVE]}
    stage.apply("1", traffic=ROUTED, rollout=rollout, **fields)
    await stage.until(lambda status: status.phase == "Healthy")
    stage.apply("2", traffic=ROUTED, rollout=rollout, **fields)
    return stage


def candidate(stage):
    return next(entry for entry in stage.status.revisions if entry.role == "Candidate")


def copies(stage):
    """Where the route sends copies, and how many: name of the Service → what the filter says."""
    found = {}
    for rule in stage.now(HTTP_ROUTE, "fraud")["spec"]["rules"]:
        for one in rule.get("filters") or ():
            if one["type"] == "RequestMirror":
                mirror = one["requestMirror"]
                found[mirror["backendRef"]["name"]] = {key: mirror[key] for key in mirror if key != "backendRef"}
    return found


def mirrored(status):
    return any(entry.mirror for entry in status.revisions)


@in_loop
async def test_copies_reach_the_candidate_then_traffic_and_then_it_is_promoted():
    stage = await begun(PLAIN)
    status = await stage.until(mirrored)
    name = f"fraud-{status.rollout.revision}"
    assert copies(stage) == {name: {"percent": 50}}
    assert stage.now(DEPLOYMENT, name)["spec"]["replicas"] == 2, "capacity follows the mirrored share"
    assert (int(candidate(stage).weight), int(candidate(stage).mirror)) == (0, 5000)
    assert status.summary.weight == "0 (50 mirrored)"
    assert stage.now(DEPLOYMENT, "fraud-comparer") is None
    status = await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    assert (status.step.name, int(candidate(stage).weight)) == ("live", 1000)
    assert copies(stage) == {}
    told = [(entry.reason, int(entry.weight), int(entry.mirror)) for entry in status.timeline[1:]]
    assert told == [("step copies", 0, 5000), ("step live", 1000, 0)]
    assert "Mirroring" in [reason for reason, _ in stage.events.said]
    stage.command("Approve", step="live")
    await stage.until(lambda status: status.phase == "Healthy" and status.summary.stable == "2")


@in_loop
async def test_a_rejected_candidate_gets_no_copies():
    stage = await begun(PLAIN | FOREVER)
    await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    assert copies(stage)
    stage.command("Abort")
    status = await stage.until(lambda status: status.phase == "RolledBack")
    assert copies(stage) == {}
    assert not mirrored(status)
    assert status.timeline[-1].mirror == 0


@in_loop
async def test_a_candidate_that_loses_its_pods_gets_no_copies_until_it_has_some():
    stage = await begun(PLAIN | FOREVER)
    status = await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    stage.unready.add(f"fraud-{status.rollout.revision}")
    await stage.until(lambda status: not mirrored(status))
    assert copies(stage) == {}
    stage.unready.clear()
    await stage.until(mirrored)
    assert copies(stage)


@in_loop
async def test_a_gateway_that_names_features_without_mirroring_is_refused_and_nothing_moves():
    stage = await begun(PLAIN, features=("HTTPRoute", "Gateway"))
    status = await stage.until(lambda status: status.summary.reason == "MirrorUnsupported")
    stalled = next(condition for condition in status.conditions if condition.type == "Stalled")
    assert stalled.status == "True"
    assert "Gateway gateways/public cannot mirror requests: its class shiny does not name" in stalled.message
    assert "HTTPRouteRequestMirror" in stalled.message
    assert not mirrored(status)
    assert copies(stage) == {}
    serving = {entry.version: int(entry.weight) for entry in status.revisions}
    assert serving == {"1": 10_000, "2": 0}
    gateway(stage, "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")
    await stage.until(mirrored)


@in_loop
async def test_a_gateway_that_mirrors_all_or_nothing_takes_no_share():
    stage = await begun(PLAIN, features=("HTTPRouteRequestMirror",))
    status = await stage.until(lambda status: status.summary.reason == "MirrorUnsupported")
    assert "HTTPRouteRequestPercentageMirror" in status.message
    everything = await begun(PLAIN | {"shadow": {"percent": 100}}, features=("HTTPRouteRequestMirror",))
    status = await everything.until(mirrored)
    assert copies(everything) == {f"fraud-{status.rollout.revision}": {}}


@in_loop
async def test_a_class_that_names_no_features_is_tried():
    stage = await begun(PLAIN)
    await stage.until(mirrored)


@pytest.mark.parametrize("kind", [GATEWAY, GATEWAY_CLASS], ids=str)
def test_what_may_not_be_read_is_said_and_not_guessed(kind):
    @in_loop
    async def life():
        stage = await begun(PLAIN)

        def forbid(request):
            if request.kind == kind:
                raise Forbidden("forbidden", request="GET", code=403)

        stage.api.before.append(forbid)
        status = await stage.until(lambda status: status.summary.reason == "MirrorUnsupported")
        assert f"the operator may not read {kind} " in status.message
        assert f"grant it get on {kind.plural}" in status.message
        assert not mirrored(status)

    life()


@in_loop
async def test_an_api_server_that_does_not_answer_about_gateways_delays_copies_and_nothing_else():
    stage = await begun(PLAIN)
    away = [True]

    def fail(request):
        if request.kind == GATEWAY and away[0]:
            raise Unreachable("connection refused", request="GET")

    stage.api.before.append(fail)
    status = await stage.until(lambda status: "asked whether it can mirror" in status.message)
    assert not mirrored(status)
    away[0] = False
    await stage.until(mirrored)
    away[0] = True
    stage.controller = stage.operator()
    for _ in range(3):
        await stage.step()
    assert copies(stage), "no answer ends nothing"
    stage.command("Abort")
    await stage.until(lambda status: status.phase == "RolledBack")


@in_loop
async def test_a_gateway_whose_class_changes_in_mid_step_ends_the_copies():
    stage = await begun(PLAIN | FOREVER)
    await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    gateway(stage, "HTTPRoute")
    for _ in range(120):
        await stage.step()
    assert not mirrored(stage.status)
    assert copies(stage) == {}
    assert stage.status.summary.reason == "MirrorUnsupported"


@in_loop
async def test_answers_are_compared_by_a_server_of_its_own_while_they_are_and_no_longer():
    stage = await begun(COMPARED)
    stage.unready.add("fraud-comparer")
    status = await stage.until(lambda status: status.summary.reason == "ComparerUnready")
    assert not mirrored(status), "copies wait for who takes them"
    stage.unready.clear()
    status = await stage.until(mirrored)
    assert copies(stage) == {"fraud-comparer": {"percent": 50}}
    revisions = {entry.role: entry.revision for entry in status.revisions}
    deployment, service = stage.now(DEPLOYMENT, "fraud-comparer"), stage.now(SERVICE, "fraud-comparer")
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    told = json.loads(container["env"][0]["value"])
    assert told["candidate"] == {
        "revision": revisions["Candidate"],
        "url": f"http://fraud-{revisions['Candidate']}.ml.svc:80",
    }
    assert told["stable"]["url"] == f"http://fraud-{revisions['Stable']}.ml.svc:80"
    assert told["compare"] == {"method": "Label", "path": "label"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    entry = stage.now(SERVICE, "fraud")["spec"]["selector"]
    assert not set(entry) & set(pod["metadata"]["labels"]), "no user's request is ever sent to it"
    assert stage.now(POD_MONITOR, "fraud-comparer") is not None
    await stage.until(lambda status: status.summary.reason == "ApprovalRequired" and status.step.name == "live")
    for _ in range(3):
        await stage.step()
    for kind in (DEPLOYMENT, SERVICE, POD_MONITOR):
        assert stage.now(kind, "fraud-comparer") is None
    assert set(stage.controller._children(KEY, stage.controller.memories[KEY]).deployments) == set(revisions.values())


@in_loop
async def test_the_comparer_of_the_next_candidate_compares_for_that_one():
    stage = await begun(COMPARED | FOREVER)
    first = (await stage.until(mirrored)).rollout.revision
    rollout = {"steps": [COMPARED | FOREVER, LIVE]}
    stage.apply("3", traffic=ROUTED, rollout=rollout)
    await stage.until(lambda status: status.rollout is not None and status.rollout.revision != first)
    status = await stage.until(mirrored)
    assert stage.now(SERVICE, "fraud-comparer")["spec"]["selector"]["modelrollout.dev/compares"] == (
        status.rollout.revision
    )
    monitors = [one["metadata"]["name"] for one in stage.api.of(POD_MONITOR)]
    assert "fraud-comparer" in monitors


@in_loop
async def test_without_an_image_for_the_comparer_the_spec_is_refused():
    stage = Stage(comparer={})
    gateway(stage)
    stage.apply("1", traffic=ROUTED, rollout={"steps": [LIVE]})
    await stage.until(lambda status: status.phase == "Healthy")
    stage.apply("2", traffic=ROUTED, rollout={"steps": [COMPARED, LIVE]})
    status = await stage.until(lambda status: status.summary.reason == "ComparerUnready")
    assert "comparer.image" in status.message
    assert status.summary.stable == "1"


@in_loop
async def test_an_operator_that_is_killed_goes_on_mirroring_and_writes_no_route():
    stage = await begun(PLAIN | FOREVER)
    await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    generation = stage.now(HTTP_ROUTE, "fraud")["metadata"]["generation"]
    began = stage.status.step.started_at
    stage.controller = stage.operator()
    for _ in range(4):
        await stage.step()
    assert stage.now(HTTP_ROUTE, "fraud")["metadata"]["generation"] == generation
    assert stage.status.step.started_at == began
    stage.command("Approve", step="copies")
    await stage.until(lambda status: status.step is not None and status.step.name == "live")


@in_loop
async def test_somebody_elses_filter_is_put_right():
    stage = await begun(PLAIN | FOREVER)
    await stage.until(lambda status: status.summary.reason == "ApprovalRequired")
    ref = next(ref for ref in stage.api.objects if ref.kind == HTTP_ROUTE and ref.name == "fraud")

    def meddle(raw):
        for rule in raw["spec"]["rules"]:
            rule.pop("filters", None)

    stage.api.edit(ref, meddle)
    assert copies(stage) == {}
    await stage.step()
    assert copies(stage)
