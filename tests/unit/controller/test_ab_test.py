"""A/B tests from the spec to the route, on an API server in memory: what is made, who gets what, and how tests end."""

import re

import pytest

from modelrollout.analysis.window import Counts
from modelrollout.kube.kinds import DEPLOYMENT, HTTP_ROUTE, INGRESS
from tests.fakes.counted import INTERVAL, Counted
from tests.fakes.loop import in_loop
from tests.fakes.stage import KEY, Stage

GOAL = {"unit": "User", "ratio": {"good": {"series": "converted_total"}, "total": {"series": "exposed_total"}}}
B, C = (
    {"name": name, "weight": weight, "version": version} for name, weight, version in (("b", 20, "2"), ("c", 30, "3"))
)
PLAIN = {
    "version": "1",
    "server": {"image": "fraud:1"},
    "replicas": 4,
    "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    "analysis": {"warmUp": "0s", "metrics": [{"name": "errors", "errorRate": {}, "compare": {}}]},
}


def spec_of(*variants, **rollout):
    return PLAIN | {
        "rollout": {"strategy": "ABTest", "variants": list(variants) or [B, C], "keepFailed": "20s"} | rollout
    }


PROVIDER = {"providers": [{"url": "http://prometheus:9090"}], "checkpointEvery": "20s"}
PATIENCE = 100
"""Looks until something is so."""


def staged(**settings):
    stage = Stage(**PROVIDER, **settings)
    stage.metrics = Counted(stage.clock)
    stage.controller = stage.operator()
    return stage


def applied(stage, spec):
    stage.apply("1", **spec)


def shares(stage):
    """Recorded shares in percent, by version."""
    return {version: weight // 100 for version, weight in stage.weights().items()}


def rules(stage):
    return stage.now(HTTP_ROUTE, "fraud")["spec"]["rules"]


async def until(stage, what):
    await stage.until(lambda status: what(), steps=PATIENCE)


async def begun(*variants, **rollout):
    """A test with its shares in force."""
    stage = staged()
    applied(stage, spec_of(*variants, **rollout))
    await until(stage, lambda: stage.reason == "ExperimentRunning" and stage.status.experiment.applied_at)
    return stage


def arm(stage, name):
    return next(found for found in stage.status.experiment.variants if found.name == name)


def cookies(stage):
    """The arms whose cookie the route knows, and where each leads."""
    found = {}
    for rule in rules(stage):
        for header in rule["matches"][0].get("headers", ()):
            if header["name"] == "Cookie":
                arm_of_cookie = re.search(r"\.([a-z]+)\(;", header["value"])[1]
                found[arm_of_cookie] = rule["backendRefs"][0]["name"].removeprefix("fraud-")
    return found


@in_loop
async def test_variants_get_pods_for_their_shares_and_their_shares_together():
    stage = await begun()
    assert shares(stage) == {"1": 50, "2": 20, "3": 30}
    assert (stage.pods("1"), stage.pods("2"), stage.pods("3")) == (4, 1, 2)
    assert [entry.revision.split("-")[0] for entry in stage.status.timeline] == ["1", "2", "3"]
    assert {found.role for found in stage.status.revisions} == {"Stable", "Variant"}
    assert stage.status.summary.weight == "20, 30"
    assert stage.status.desired.state == "Running"


@in_loop
async def test_nobody_meets_a_variant_before_all_are_ready():
    stage = staged()
    stage.unready = {"fraud-3-"}
    applied(stage, spec_of())
    await stage.run(120.0)
    assert shares(stage) == {"1": 100}
    assert "variant c (version 3) has 0 of 2 pods ready" in stage.status.message
    stage.unready = set()
    await until(stage, lambda: shares(stage) == {"1": 50, "2": 20, "3": 30})


@in_loop
async def test_one_that_does_not_load_is_left_out():
    stage = staged()
    stage.unready = {"fraud-3-"}
    applied(stage, spec_of(loadDeadline="1m"))
    await until(stage, lambda: stage.reason == "ExperimentRunning" and shares(stage) == {"1": 80, "2": 20})
    assert arm(stage, "c").out.reason == "ModelLoadFailed"
    assert "VariantTakenOut" in [reason for reason, _ in stage.events.said]


@in_loop
async def test_a_bad_variant_is_taken_out_alone_and_stays_out():
    stage = await begun()
    stage.metrics.counts["3", "errors"] = (Counts(100, 40), Counts(100, 0))
    await until(stage, lambda: shares(stage) == {"1": 80, "2": 20})
    assert arm(stage, "c").out.reason == "ErrorRateWorse"
    await until(stage, lambda: stage.pods("3") == 1)  # for its logs, once no request is on its way
    stage.metrics.counts.clear()
    await stage.run(120.0)
    assert shares(stage) == {"1": 80, "2": 20}
    assert stage.pods("3") == 0
    stage.command("Retry", revision=stage.status.rejected[0].revision)
    await until(stage, lambda: shares(stage) == {"1": 50, "2": 20, "3": 30})


@in_loop
async def test_a_variant_that_loses_its_pods_gives_its_share_to_the_control_until_it_is_back():
    stage = await begun()
    stage.unready = {"fraud-2-"}
    await until(stage, lambda: shares(stage) == {"1": 70, "3": 30})
    stage.unready = set()
    await until(stage, lambda: shares(stage) == {"1": 50, "2": 20, "3": 30})
    stage.unready = {"fraud-2-"}
    await until(stage, lambda: arm(stage, "b").out)
    assert arm(stage, "b").out.reason == "CandidateUnstable"
    assert shares(stage) == {"1": 70, "3": 30}


@in_loop
async def test_a_test_that_keeps_stable_ends_with_its_duration_and_does_not_start_again():
    stage = await begun(duration="2m", end="KeepStable")
    await until(stage, lambda: stage.reason == "StableKept" and shares(stage) == {"1": 100})
    await stage.run(120.0)
    assert stage.status.experiment is None
    assert (stage.pods("1"), stage.pods("2"), stage.pods("3")) == (4, 0, 0)
    applied(stage, spec_of(duration="2m", end="KeepStable", attempt=1))
    await until(stage, lambda: shares(stage) == {"1": 50, "2": 20, "3": 30})


@in_loop
async def test_the_winner_becomes_stable_without_a_restart_and_the_spec_is_said_to_be_behind():
    stage = await begun(duration="3m", end="PromoteWinner", goal=GOAL)
    stage.metrics.counts["2", "goal"] = (Counts(100, 70), Counts(100, 80))
    stage.metrics.counts["3", "goal"] = (Counts(100, 82), Counts(100, 80))
    before = [raw["metadata"]["uid"] for raw in stage.api.of(DEPLOYMENT)]
    await until(stage, lambda: stage.reason == "SpecBehind" and shares(stage) == {"2": 100})
    assert [raw["metadata"]["uid"] for raw in stage.api.of(DEPLOYMENT)] == before
    assert '{"version":"2"}' in stage.status.message
    assert "restarts" in stage.status.message
    ended = stage.status.concluded[0]
    assert (ended.outcome, ended.winner, ended.version) == ("Won", "b", "2")
    assert ended.message.startswith("Variant b (version 2) won: 30 % against 20 % on")
    generations = {raw["metadata"]["name"]: raw["metadata"]["generation"] for raw in stage.api.of(DEPLOYMENT)}
    applied(stage, PLAIN | {"version": "2"})
    await stage.run(30.0)
    assert (stage.reason, shares(stage)) == ("Serving", {"2": 100})
    after = {raw["metadata"]["name"]: raw["metadata"]["generation"] for raw in stage.api.of(DEPLOYMENT)}
    assert after.items() <= generations.items()


@in_loop
async def test_a_mean_decides_as_a_rate_does():
    amounts = {"sum": {"series": "paid"}, "squares": {"series": "paid_squared"}, "count": {"series": "users"}}
    stage = await begun(duration="4m", end="PromoteWinner", goal={"unit": "User", "mean": amounts})

    def paid(total, squares):
        """A hundred users in each window: the sum of what they paid, and of its squares."""
        return Counts(100, 100 - total), Counts(100, 100 - squares)

    ours, theirs = paid(1_500, 90_000), paid(1_000, 60_000)
    stage.metrics.counts |= {("2", "goal"): (ours[0], theirs[0]), ("2", "goal-squares"): (ours[1], theirs[1])}
    stage.metrics.counts |= {("3", "goal"): (theirs[0], theirs[0]), ("3", "goal-squares"): (theirs[1], theirs[1])}
    await until(stage, lambda: shares(stage) == {"2": 100})
    message = stage.status.concluded[0].message
    assert message.startswith("Variant b (version 2) won: 15 against 10 on")
    assert "(approximate)" in message


@in_loop
async def test_without_a_winner_stable_is_kept():
    stage = await begun(duration="2m", end="PromoteWinner", goal=GOAL)
    await until(stage, lambda: stage.reason == "StableKept")
    assert stage.status.concluded[0].message.endswith("was kept: no variant was shown to be better.")


@in_loop
async def test_with_pace_evidence_a_winner_need_not_wait():
    stage = await begun(duration="14d", end="PromoteWinner", goal=GOAL, pace="Evidence")
    stage.metrics.counts["3", "goal"] = (Counts(100, 50), Counts(100, 80))
    await until(stage, lambda: shares(stage) == {"3": 100})


@in_loop
async def test_a_winner_whose_guard_fails_does_not_win():
    stage = await begun(duration="2m", end="PromoteWinner", goal=GOAL)
    stage.metrics.counts["3", "goal"] = (Counts(100, 50), Counts(100, 80))
    stage.metrics.counts["3", "errors"] = (Counts(100, 40), Counts(100, 0))
    await until(stage, lambda: stage.reason == "StableKept")
    assert stage.status.rejected[0].version == "3"


@in_loop
async def test_a_person_decides_a_manual_test():
    stage = await begun(duration="1m")
    await until(stage, lambda: stage.reason == "DecisionRequired")
    assert shares(stage) == {"1": 50, "2": 20, "3": 30}
    stage.command("Promote", revision=stage.revision("3"))
    await until(stage, lambda: shares(stage) == {"3": 100} and stage.reason == "SpecBehind")


@in_loop
async def test_an_abort_of_the_control_ends_the_test_and_one_of_a_variant_takes_that_one_out():
    stage = await begun()
    stage.command("Abort", revision=stage.revision("2"))
    await until(stage, lambda: shares(stage) == {"1": 70, "3": 30})
    stage.command("Abort", revision=stage.revision("1"))
    await until(stage, lambda: shares(stage) == {"1": 100})
    assert stage.status.concluded[0].outcome == "Aborted"


@in_loop
async def test_a_restart_in_the_middle_changes_nothing_and_loses_no_evidence():
    stage = await begun(duration="10m", goal=GOAL)
    stage.metrics.counts["2", "goal"] = (Counts(100, 70), Counts(100, 80))
    await stage.run(150.0)
    before = stage.status
    counted, covered = arm(stage, "b").goal.count, before.experiment.covered
    stage.controller = stage.operator()
    writes = stage.api.writes()
    await stage.run(150.0)
    assert {verb for verb, _ in stage.api.writes() - writes} <= {"STATUS"}
    assert stage.status.timeline == before.timeline
    again = arm(stage, "b").goal
    assert counted < again.count <= counted + 100 * 150 / INTERVAL + 400  # what was not yet written counts now
    assert again.hits == again.count * 3 // 10
    assert covered.seconds < stage.status.experiment.covered.seconds <= 300.0


@in_loop
async def test_another_strategy_in_mid_test_goes_back_to_the_control_first():
    stage = await begun()
    applied(stage, PLAIN | {"version": "2", "rollout": {"steps": [{"weight": 10, "hold": "1h"}]}})
    await until(stage, lambda: shares(stage) == {"1": 90, "2": 10})
    told = [(entry.revision.split("-")[0], int(entry.weight) // 100) for entry in stage.status.timeline]
    assert told == [("1", 100), ("2", 20), ("3", 30), ("2", 0), ("3", 0), ("2", 10)]
    assert stage.status.experiment is None


@in_loop
async def test_edited_shares_are_followed_pods_first():
    stage = await begun(B, C)
    applied(stage, spec_of(B | {"weight": 5}, C | {"weight": 60}))
    await until(stage, lambda: shares(stage) == {"1": 35, "2": 5, "3": 60})
    assert (stage.pods("2"), stage.pods("3")) == (1, 3)
    assert stage.status.experiment.started_at


@in_loop
async def test_an_invalid_spec_leaves_a_test_alone_and_its_guards_on():
    stage = await begun()
    applied(stage, spec_of(B, B | {"name": "d"}))
    await stage.run(30.0)
    assert shares(stage) == {"1": 50, "2": 20, "3": 30}
    assert stage.reason == "InvalidSpec"
    stage.metrics.counts["3", "errors"] = (Counts(100, 40), Counts(100, 0))
    await until(stage, lambda: shares(stage) == {"1": 80, "2": 20})


@in_loop
async def test_a_control_that_is_not_stable_is_not_tested():
    stage = staged()
    applied(stage, PLAIN)
    await until(stage, lambda: stage.reason == "Serving")
    applied(stage, spec_of() | {"version": "9"})
    await stage.run(60.0)
    assert (stage.reason, shares(stage)) == ("ControlNotStable", {"1": 100})
    assert stage.pods("9") == 0


@in_loop
async def test_sticky_users_are_bound_to_every_arm_that_has_a_share_and_to_no_other():
    stage = await begun(assignment={"type": "Sticky", "cookie": "arm"})
    revisions = {"control": stage.revision("1"), "b": stage.revision("2"), "c": stage.revision("3")}
    assert cookies(stage) == revisions
    stage.metrics.counts["3", "errors"] = (Counts(100, 40), Counts(100, 0))
    await until(stage, lambda: arm(stage, "c").out)
    assert cookies(stage) == {name: found for name, found in revisions.items() if name != "c"}
    stage.command("Abort", revision=revisions["control"])
    await until(stage, lambda: shares(stage) == {"1": 100})
    assert cookies(stage) == {}


@in_loop
async def test_a_winner_that_was_taken_back_takes_steps_when_it_is_tried_again():
    stage = await begun()
    stage.unready = {"fraud-3-"}
    stage.command("Promote", revision=stage.revision("3"))
    await stage.controller.reconcile(KEY)
    stage.command("Abort", revision=stage.revision("3"))
    await until(stage, lambda: shares(stage) == {"1": 100} and stage.reason == "Aborted")
    desired = stage.status.desired
    assert (desired.revision, desired.version, desired.state) == (stage.status.rejected[0].revision, "3", "Rejected")
    stage.unready = set()
    stage.command("Retry", revision=stage.status.rejected[0].revision)
    await until(stage, lambda: shares(stage) == {"1": 99, "3": 1})
    assert stage.status.rollout.mode == "Steps"


@in_loop
async def test_users_stay_until_the_winner_has_all_traffic():
    stage = await begun(assignment={"type": "Sticky"})
    before, revisions = cookies(stage), {"control": stage.revision("1"), "c": stage.revision("3")}
    stage.unready = {"fraud-3-"}  # its pods are not full in number yet: hold it in between
    stage.command("Promote", revision=stage.revision("3"))
    await stage.controller.reconcile(KEY)
    assert stage.status.rollout.cause == "WinnerChosen"
    assert cookies(stage) == revisions == {name: before[name] for name in revisions}
    stage.unready = set()
    await until(stage, lambda: shares(stage) == {"3": 100})
    assert cookies(stage) == {}


@pytest.mark.parametrize("assignment", [{"type": "Flag", "header": "x-arm"}, {"type": "Sticky"}, {"type": "Random"}])
def test_the_weighted_rule_always_leads_somewhere(assignment):
    @in_loop
    async def play():
        stage = await begun(assignment=assignment)
        stage.command("Promote", revision=stage.revision("3"))
        for _ in range(40):
            await stage.step()
            weighted = {found["name"]: found["weight"] for found in rules(stage)[-1]["backendRefs"]}
            assert sum(weighted.values()) > 0
        assert (stage.reason, shares(stage)) == ("SpecBehind", {"3": 100})
        assert {name: weight for name, weight in weighted.items() if weight} == {f"fraud-{stage.revision('3')}": 10_000}

    play()


@in_loop
async def test_a_flag_leads_to_its_variant_and_all_else_to_the_control():
    stage = await begun(assignment={"type": "Flag", "header": "x-arm"})
    flags = [rule for rule in rules(stage) if rule["matches"][0].get("headers", [{}])[0].get("name") == "x-arm"]
    assert [rule["matches"][0]["headers"][0]["value"] for rule in flags] == ["b", "c"]
    weighted = {found["name"]: found["weight"] for found in rules(stage)[-1]["backendRefs"]}
    assert sorted(weighted.values()) == [0, 0, 5000]


@pytest.mark.parametrize("share", [20, 60])
def test_a_single_variant_is_what_testers_mean_and_the_control_keeps_the_main_ingress(share):
    @in_loop
    async def play():
        stage = staged(routers=["Gateway", "Nginx"])
        routed = {"traffic": {"nginx": {"hosts": ["fraud.example.com"]}}}
        applied(stage, spec_of(B | {"weight": share}) | routed)
        led = []
        stage.api.watchers.append(lambda kind, raw, deleted: led.append(main(raw)) if kind == INGRESS else None)
        await until(stage, lambda: shares(stage) == {"1": 100 - share, "2": share} and stage.status.traffic.applied_at)
        assert {one for one in led if one} == {f"fraud-{stage.revision('1')}"}, "nobody else ever has the rest"
        canary = stage.now(INGRESS, "fraud-canary")
        assert canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] == str(share)

    play()


def main(raw):
    """The Service that the main Ingress leads to."""
    if raw["metadata"]["name"] != "fraud":
        return ""
    return raw["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]


@in_loop
async def test_each_variant_is_measured_against_the_control_and_nothing_is_left_when_it_is_over():
    stage = await begun(goal=GOAL)
    found = stage.metrics.subscriptions
    assert {key[1].split("/")[1][0] for key in found} == {"2", "3"}
    assert {one.stable.revision[0] for one in found.values()} == {"1"}
    assert {tuple(metric.name for metric in one.metrics) for one in found.values()} == {("errors", "goal")}
    stage.command("Abort", revision=stage.revision("1"))
    await until(stage, lambda: shares(stage) == {"1": 100})
    await stage.step()  # traffic first, then what is tidied up
    assert not stage.metrics.subscriptions


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_holds_the_shares_and_the_end(paused):
    @in_loop
    async def play():
        stage = await begun(duration="1m", end="KeepStable")
        applied(stage, spec_of(duration="1m", end="KeepStable", paused=paused))
        await stage.run(200.0)
        assert (stage.reason == "PausedBySpec") == paused
        assert (shares(stage) == {"1": 50, "2": 20, "3": 30}) == paused

    play()
