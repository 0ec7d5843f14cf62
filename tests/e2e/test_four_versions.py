"""The demo's four versions, by the demo's own manifests, under 100 requests a second from beginning to end.

The story is played once; every test here asks another question about what was seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from demo.places import MANIFESTS
from modelrollout.api.scalars import Timestamp
from tests.e2e.conftest import Desk
from tests.e2e.served import EPOCH, Served
from tests.e2e.users import (
    PROOF,
    UNLIKELY,
    Users,
    all_from,
    chi_square,
    fits,
    routed_by,
    routing_failures,
    versions,
    within,
)
from tests.load import Answer, Report

RATE = 100.0
ENOUGH = 2 * int(RATE)
"""Answers by which the shares of a weight can be judged."""
LONG = 10.0
"""Seconds of one weight in which the gateway has to follow, and long enough to see it. Traefik takes up changes every 2 s."""


@dataclass
class Story:
    served: Served
    report: Report
    began: dict[str, float]
    """When each version was applied, and "end"."""
    pods: dict[str, set[str]]
    """UIDs of version 2 at each weight of its way, and after its promotion ("stable")."""

    def answers(self, version: str) -> tuple[Answer, ...]:
        """To requests from the apply of a version to that of the next."""
        following = {"2": "3", "3": "4", "4": "end"}[version]
        return within(self.report.answers, self.began[version], self.began[following])


@pytest.fixture(scope="module")
def story(desk: Desk) -> Iterator[Story]:
    served = desk.model("four")
    served.apply_file(MANIFESTS / "version-1.yaml")
    served.healthy("1", seconds=180)
    desk.observer.until(lambda: _answers(served), "the gateway routes to version 1", 30)
    assert desk.info.gateway is not None
    began: dict[str, float] = {}
    pods: dict[str, set[str]] = {}
    with Users(f"{desk.info.gateway.url}/predict", served.host, rps=RATE) as users:
        desk.observer.until(lambda: len(users.answers) > RATE, "users are served", 20)
        began["2"] = _apply(served, 2)
        for weight in (10, 50, 100):
            served.until(lambda status, weight=weight: _applied(status, "2", weight), f"{weight} % are applied", 120)
            pods[str(weight)] = set(served.pods("2"))
        served.healthy("2", seconds=120)
        pods["stable"] = set(served.pods("2"))
        for number in (3, 4):
            began[str(number)] = _apply(served, number)
            served.taken_back(str(number))
            all_from(desk.observer, users, "2", 30)
        began["end"] = users.answers[-1].at
    yield Story(served, users.report, began, pods)
    served.delete()


def _apply(served: Served, number: int) -> float:
    stored = served.apply_file(MANIFESTS / f"version-{number}.yaml")
    generation = stored["metadata"]["generation"]
    seen = served.observer.history("ModelDeployment", served.name)
    return next(one.at for one in seen if one.raw["metadata"]["generation"] == generation) + EPOCH


def _sent(answer: Answer) -> float:
    return answer.at


def _answers(served: Served) -> bool:
    try:
        return served.ask()[0] == "1"
    except OSError:
        return False


def _applied(status: dict[str, Any], version: str, weight: int) -> bool:
    ours = next((one for one in status["revisions"] if one["version"] == version), None)
    return bool(ours and float(str(ours["weight"])) == weight and status["traffic"].get("appliedAt"))


def test_a_healthy_version_is_promoted_and_no_request_fails(story: Story, desk: Desk):
    answers = story.answers("2")
    failed = [one for one in answers if one.status != 200]
    desk.measured("promotion_requests", len(answers))
    desk.measured("promotion_failed", len(failed))
    desk.measured("promotion_seconds", _ended(story, "2") - story.began["2"])
    assert ("2", "Promoted") in story.served.outcomes()
    assert not failed, failed[:5]


def test_pods_that_served_as_candidate_are_the_stable_pods_after_promotion(story: Story):
    assert len(story.pods["10"]) == 1
    assert story.pods["10"] <= story.pods["50"] <= story.pods["100"]
    assert len(story.pods["100"]) == 2
    assert story.pods["stable"] == story.pods["100"]


def test_no_request_fails_on_the_way_while_bad_versions_are_taken_back(story: Story, desk: Desk):
    answers = story.answers("3") + story.answers("4")
    lost = routing_failures(answers)
    desk.measured("rollback_requests", len(answers))
    desk.measured("rollback_failed_on_the_way", len(lost))
    desk.measured("rollback_500_of_version_3", sum(one.status == 500 for one in answers))
    assert not lost, lost[:5]
    assert {one.version for one in answers if one.status == 500} == {"3"}


@pytest.mark.parametrize(("version", "metric"), [("3", "errors"), ("4", "latency")])
def test_a_bad_version_is_taken_back_by_the_metric_that_shows_it(story: Story, version: str, metric: str, desk: Desk):
    ending = next(one for one in story.served.status["history"] if one["version"] == version)
    desk.measured(f"version_{version}_taken_back_seconds", _ended(story, version) - story.began[version])
    assert (ending["outcome"], metric in ending["message"]) == ("RolledBack", True), ending
    events = story.served.kubectl.ok("get", "events", "--field-selector", f"involvedObject.name={story.served.name}")
    assert "RolledBack" in events


def test_requests_are_shared_as_the_weights_say(story: Story, desk: Desk):
    """Each stretch of one weight, from where the gateway has taken it over."""
    changes = [*story.served.routed(), (story.began["end"], {})]
    judged, lags = 0, [0.0]
    for (begin, shares), (end, _) in pairwise(changes):
        sent = sorted(within(story.report.answers, begin, end), key=_sent)
        name = " ".join(f"v{version}={share:g}%" for version, share in sorted(shares.items()))
        place = routed_by(sent, shares)
        if place is None or len(sent) - place < ENOUGH:
            assert len(sent) < LONG * RATE, f"{name} was not in force in {end - begin:.1f} s"
            continue
        counts, judged = versions(sent[place:]), judged + 1
        lags.append(sent[place - PROOF].at - begin)
        statistic = chi_square(counts, shares)
        desk.measured(f"share {judged:>2} {name}", f"{dict(sorted(counts.items()))}, chi-square {statistic:.2f}")
        assert statistic < UNLIKELY, (name, counts)
    desk.measured("gateway_behind_route_seconds", max(lags))
    assert judged >= 5


@pytest.mark.parametrize("version", ["3", "4"])
def test_a_bad_version_is_off_the_route_and_out_of_reach_as_soon_as_that_is_decided(
    story: Story, version: str, desk: Desk
):
    decided = next(one["at"] for one in story.served.status["rejected"] if one["version"] == version)
    gone = story.served.weight_gone(version, after=story.began[version])
    desk.measured(f"version_{version}_decided_to_route_seconds", gone - Timestamp.parse(decided))
    assert gone - Timestamp.parse(decided) <= 1.0
    answers = sorted(within(story.report.answers, gone, story.began["4" if version == "3" else "end"]), key=_sent)
    last = max((one.at for one in answers if one.version == version), default=gone)
    desk.measured(f"version_{version}_route_to_last_request_seconds", last - gone)
    assert fits(answers[-PROOF:], {"2": 100}), versions(answers)


def _ended(story: Story, version: str) -> float:
    """When it was first seen that a version's rollout had ended."""
    revision = story.served.revision(version)
    return next(
        at
        for at, status in story.served.statuses()
        if revision in [one["revision"] for one in status.get("history", ())]
    )
