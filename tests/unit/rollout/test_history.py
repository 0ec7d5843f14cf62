"""What is noted when a rollout ends."""

from modelrollout.api.status import MetricStatus, ModelDeploymentStatus, Outcome, RevisionStatus, Role, RolloutStatus
from modelrollout.rollout.book import Ending, with_history

STABLE = RevisionStatus(revision="1-aa", version="1", role=Role.STABLE, weight=95)
CANDIDATE = RevisionStatus(revision="2-bb", version="2", role=Role.CANDIDATE, weight=5)
ENDING = Ending(Outcome.ROLLED_BACK, "ErrorRateWorse", "errors 20 % against 1 %")
ERRORS = MetricStatus(
    name="errors",
    candidate="20 %",
    stable="1 %",
    evidence="100 %",
    requests=412,
    message="as the ending",
    state="long;text",
)


def status(*revisions: RevisionStatus, **fields: object) -> ModelDeploymentStatus:
    rollout = RolloutStatus(revision="2-bb", started_at=100, replicas=3)
    return ModelDeploymentStatus(revisions=revisions, rollout=rollout, metrics=(ERRORS,), **fields)


def test_history_says_against_which_version_and_what_the_metrics_said_at_the_end():
    (entry,) = with_history(status(STABLE, CANDIDATE), CANDIDATE, 200.0, ENDING).history
    assert (entry.revision, entry.against, entry.started_at, entry.ended_at) == ("2-bb", "1-aa", 100, 200)
    (metric,) = entry.metrics
    assert (metric.candidate, metric.stable, metric.evidence, metric.requests) == ("20 %", "1 %", "100 %", 412)
    assert (metric.state, metric.message) == (None, None)


def test_a_first_version_ran_against_nothing():
    (entry,) = with_history(status(CANDIDATE), CANDIDATE, 200.0, ENDING).history
    assert entry.against == ""


def test_only_the_newest_rollout_keeps_its_metrics():
    once = with_history(status(STABLE, CANDIDATE), CANDIDATE, 200.0, ENDING)
    twice = with_history(once, CANDIDATE, 300.0, ENDING)
    assert [len(entry.metrics) for entry in twice.history] == [0, 1]
