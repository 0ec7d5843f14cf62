"""Blue/green, and previews in any strategy: steps of weight 0, one switch, and the way back."""

from tests.api.lives.test_metrics import ERRORS, judged, step_of
from tests.harness.life import REVISION, steadily
from tests.harness.specs import APPROVED, GATEWAY
from tests.harness.traffic import Answers

PREVIEW = {"weight": 0, "advance": "Approval"}
SHORT = {"strategy": "BlueGreen", "steps": [PREVIEW, {"weight": 100, "hold": "2s"}]}
LONG = {"strategy": "BlueGreen", "steps": [PREVIEW, {"weight": 100, "hold": "1h"}]}
BY_TESTERS = {"strategy": "BlueGreen", "steps": [{"weight": 0, "hold": "2s"}, {"weight": 100, "hold": "2s"}]}
TESTED = ERRORS | {"when": ["Preview", "Bake"]}


def judged_by(metric, rollout):
    return judged(metric) | {"steps": None, "rollout": rollout}


def selected(life, service="fraud-preview"):
    """The revision that a Service leads to."""
    return life.observer.now("Service", service)["spec"]["selector"].get(REVISION)


def leads_to(life, service, version):
    revision = life.revision(version)
    life.observer.until(lambda: selected(life, service) == revision, f"{service} leads to version {version}")


def headers(life):
    """The values of the tester header that the route knows, and where each leads."""
    rules = life.observer.now("HTTPRoute", "fraud")["spec"]["rules"]
    return {
        rule["matches"][0]["headers"][0]["value"]: rule["backendRefs"][0]["name"]
        for rule in rules
        if rule["matches"][0].get("headers")
    }


def switched(life, **shares):
    """Bring the candidate through its preview."""
    life.waits("preview")
    life.accepted("Approve", "preview")
    life.carries(**shares)


def test_a_version_is_previewed_in_full_size_switched_to_at_once_and_promoted_without_a_restart(life):
    life.begin("1", rollout=SHORT)
    former = life.pods("1").keys()
    life.apply("2", rollout=SHORT)
    life.waits("preview")
    pods = life.pods_are("2", 2).keys()
    assert life.timeline() == [("1", 100)], "nobody but testers has met it"
    leads_to(life, "fraud-preview", "2")
    assert life.status["previewURL"] == f"http://fraud-preview.{life.namespace}.svc"
    assert life.status["previewURL"] in life.message
    token = life.status["traffic"]["testerHeader"].partition(": ")[2]
    assert headers(life)[f"{token}-candidate"] == life.deployment("2")
    assert "step bake is not under way; the step under way is preview" in life.refused("Approve", "bake")
    life.accepted("Approve", "preview")
    life.carries(v2=100)
    switched_to = life.observer.now("HTTPRoute", "fraud")["metadata"]["generation"]
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 100)]
    assert life.pods("2").keys() == pods
    assert life.pods("1").keys() == former, "the way back is warm and in full size"
    assert "previewURL" not in life.status
    life.observer.until(lambda: selected(life) not in (life.revision("1"), life.revision("2")), "the preview is empty")
    assert life.observer.now("HTTPRoute", "fraud")["metadata"]["generation"] == switched_to, "promotion moves nothing"


def test_a_breach_in_the_bake_returns_to_the_former_version(life, traffic):
    life.begin("1", **judged_by(ERRORS, LONG))
    former = life.pods("1").keys()
    life.apply("2", **judged_by(ERRORS, LONG))
    switched(life, v2=100)
    life.reason("AnalysisPassing")
    traffic.answers["2"] = Answers(errors=0.5)
    life.taken_back("2")
    life.carries(v1=100)
    life.reason("ErrorRateTooHigh")
    assert life.pods("1").keys() == former
    assert life.timeline() == [("1", 100), ("2", 100), ("2", 0)]


def test_what_testers_meet_ends_the_preview_or_the_rollout(life, traffic):
    traffic.answers = {"2": Answers(rate=0.0), "3": Answers(errors=0.5)}
    life.begin("1", **judged_by(TESTED, BY_TESTERS))
    life.apply("2", **judged_by(TESTED, BY_TESTERS))
    life.reason("CollectingData")
    steadily(life, lambda: life.timeline() == [("1", 100)], 4, "without testers it stays in its preview")
    traffic.answers["2"] = Answers()
    life.healthy("2")
    life.apply("3", **judged_by(TESTED, BY_TESTERS))
    life.taken_back("3")
    life.reason("ErrorRateTooHigh")
    assert life.timeline() == [("1", 100), ("2", 100)], "version 3 was never given a weight"


def test_without_a_gateway_the_entry_service_is_switched(life):
    fields = {"rollout": LONG, "traffic": {"service": {}}}
    life.begin("1", **fields)
    life.apply("2", **fields)
    life.waits("preview")
    life.pods_are("2", 2)
    leads_to(life, "fraud-preview", "2")
    assert selected(life, "fraud") == life.revision("1")
    assert "testerHeader" not in life.status["traffic"]
    life.accepted("Approve", "preview")
    leads_to(life, "fraud", "2")
    life.until(lambda status: step_of(status) == "bake" and status["step"].get("appliedAt"), "it bakes")
    assert len(life.pods("1")) == 2
    life.accepted("Abort")
    life.taken_back("2")
    leads_to(life, "fraud", "1")
    life.pods_are("2", 0)


def test_a_preview_is_paused_aborted_retried_and_replaced_like_any_step(life):
    life.begin("1", rollout=LONG)
    life.apply("2", rollout=LONG)
    life.waits("preview")
    life.accepted("Pause")
    life.accepted("Approve", "preview")
    life.reason("PausedByCommand")
    life.accepted("Abort")
    life.taken_back("2")
    life.accepted("Retry", revision=life.revision("2"))
    life.waits("preview")
    assert "approval" not in life.status["step"]
    life.apply("3", rollout=LONG)
    life.until(lambda status: status["summary"]["candidate"] == "3", "version 3 is the candidate")
    switched(life, v3=100)
    assert life.timeline() == [("1", 100), ("3", 100)]
    assert life.outcomes()[-2:] == [("2", "Aborted"), ("2", "Superseded")]


def test_the_strategy_may_be_edited_in_mid_rollout_and_raises_no_weight(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.apply("2", rollout=LONG)
    life.waits("preview")
    life.carries(v1=100)
    life.pods_are("2", 2)
    renamed = [{"name": "preview", "weight": 20, "advance": "Approval"}, *APPROVED[1:]]
    life.apply("2", steps=renamed, rollout={"paused": True})
    life.reason("PausedBySpec")
    life.sentinel()
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 0)]
    life.apply("2", steps=renamed)
    life.waits("preview")
    life.carries(v1=80, v2=20)
    life.apply("2", steps=[{"name": "look", "weight": 0, "advance": "Approval"}, *renamed])
    life.until(lambda status: status["summary"]["step"] == "2/4", "the step is the second now")
    life.waits("preview")
    life.carries(v1=80, v2=20)


def test_a_canary_may_begin_with_a_preview(life):
    steps = [{"name": "look", "weight": 0, "advance": "Approval"}, *APPROVED]
    life.begin("1", steps=steps)
    life.apply("2", steps=steps)
    life.waits("look")
    life.pods_are("2", 1)
    assert life.status["summary"]["step"] == "1/4"
    life.accepted("Approve", "look")
    life.waits("tenth")
    life.carries(v1=90, v2=10)
    assert life.timeline() == [("1", 100), ("2", 10)]


def test_host_names_of_previews_have_a_route_of_their_own(life):
    own = {"gateway": GATEWAY["gateway"] | {"hostnames": ["a.example.com"], "previewHostnames": ["next.example.com"]}}
    life.begin("1", rollout=LONG, traffic=own)
    life.apply("2", rollout=LONG, traffic=own)
    life.waits("preview")
    route = life.observer.now("HTTPRoute", "fraud-preview")["spec"]
    assert (route["hostnames"], route["rules"][0]["backendRefs"][0]["name"]) == (["next.example.com"], "fraud-preview")
    assert life.status["previewURL"] == "http://next.example.com"
    life.gateway.refuse("no listener has that name", "fraud-preview")
    life.until(lambda status: "Testers do not reach it at http://next.example.com" in status["message"], "it is told")
    life.gateway.refuse("")
    life.until(lambda status: "It answers testers at http://next.example.com" in status["message"], "it is taken")
    life.objects.delete("HTTPRoute", "fraud-preview", propagationPolicy="Background")
    life.observer.until(lambda: life.observer.now("HTTPRoute", "fraud-preview"), "it is made again")
    life.apply("2", rollout=LONG)
    life.gone("HTTPRoute", "fraud-preview")
    life.until(lambda status: status["previewURL"].endswith(".svc"), "the preview Service is the address")
    life.waits("preview")
    life.carries(v1=100)


def test_an_operator_that_is_killed_goes_on_in_preview_and_bake(life):
    life.begin("1", rollout=SHORT)
    life.apply("2", rollout=SHORT)
    life.waits("preview")
    before = life.status["step"]["startedAt"]
    life.operator.kill()
    approval = life.command("Approve", "preview")
    life.operator.start(wait=False)
    assert life.outcome(approval)["outcome"] == "Accepted"
    life.until(lambda status: step_of(status) == "bake", "it bakes")
    life.operator.kill()
    life.operator.start(wait=False)
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 100)]
    starts = {
        sight.raw["status"]["step"]["startedAt"]
        for sight in life.observer.history("ModelDeployment", "fraud")
        if ((sight.raw.get("status") or {}).get("step") or {}).get("name") == "preview"
    }
    assert starts == {before}, "the preview was not begun again"
