"""Who leads: two processes at once, a lease that is stolen, a process that is stopped for a while, a wall clock that jumps."""

import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from modelrollout.operator import EXIT_LOST_LEASE
from tests.harness.jumping import FILE_VARIABLE
from tests.harness.life import carried, steadily
from tests.harness.process import Operator
from tests.harness.specs import SWIFT

ALL = [("1", 100), ("2", 10), ("2", 50), ("2", 100)]
TIMES = {"name": "lives", "duration": "4s", "renewDeadline": "3s", "retryPeriod": "1s"}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/lives"


@pytest.fixture
def make(life, tmp_path):
    """Makes further operators for the life; they are ended with it."""
    made = []

    def one(name: str, *, lease: bool = True) -> Operator:
        folder = tmp_path / name
        folder.mkdir()
        settings = {"leadership": TIMES | {"namespace": life.namespace}}
        found = Operator(folder, Path(life.kubectl.environment["KUBECONFIG"]), life.namespace, settings, lease=lease)
        made.append(found)
        return found

    yield one
    for operator in made:
        if operator.running:
            operator.kill()


def leads(operator) -> bool:
    return operator.log.exists() and '"leading as ' in operator.log.read_text()


def until(life, condition, what):
    return life.observer.until(condition, what)


def standing_by(life, make) -> Operator:
    """A second process beside the one that leads; a version waits in its first step."""
    life.operator, second = make("first"), make("second")
    life.operator.start()
    second.start(wait=False)
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    return second


def test_of_two_processes_one_leads_and_the_other_goes_on_when_it_is_killed(life, make):
    second = standing_by(life, make)
    assert leads(life.operator)
    assert not leads(second)
    life.operator.kill()
    life.accepted("Approve", "tenth")
    life.waits("half")
    assert leads(second)
    life.operator = second
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL


def test_two_processes_that_both_believe_they_lead_do_nothing_twice(life, make):
    life.operator, second = make("first", lease=False), make("second", lease=False)
    life.operator.start(wait=False)
    second.start(wait=False)
    life.begin("1", steps=SWIFT)
    life.apply("2", steps=SWIFT)
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.outcomes() == [("1", "Promoted"), ("2", "Promoted")]
    life.apply("3")
    life.waits("tenth")
    life.accepted("Abort")
    life.taken_back("3")
    assert life.timeline() == [*ALL, ("3", 10), ("3", 0)]
    faults = [line for line in second.lines() if line["level"] in ("error", "critical")]
    assert not faults, faults[:3]


def test_a_lease_that_is_stolen_ends_the_process_and_nothing_is_written_until_it_is_free(life, make):
    life.excused.add("the_operator_reports_no_fault_of_its_own")  # that the lease was lost is one
    life.operator = make("only")
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    path = LEASE.format(life.namespace)
    spec = {"holderIdentity": "thief", "leaseDurationSeconds": 6}
    life.objects.ask("PATCH", path, {"spec": spec}, content="application/merge-patch+json")
    until(life, lambda: not life.operator.running, "the process has ended")
    assert life.operator.wait() == EXIT_LOST_LEASE
    versions = life.versions()
    life.operator.start(wait=False)
    approval = life.command("Approve", "tenth")
    until(life, lambda: leads(life.operator) or _unmoved(life, versions), "it leads again")
    assert life.outcome(approval)["outcome"] == "Accepted"
    transitions = life.objects.ask("GET", path)["spec"]["leaseTransitions"]
    assert transitions >= 1
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL


def _unmoved(life, versions) -> bool:
    now = life.versions()
    assert {key: now[key] for key in versions} == versions, "written without the lease"
    return False


def test_a_leader_that_is_stopped_for_longer_than_its_lease_writes_nothing_when_it_wakes(life, make):
    life.excused.add("the_operator_reports_no_fault_of_its_own")  # that the lease was lost is one
    second = standing_by(life, make)
    first, life.operator = life.operator, second
    os.kill(first.pid, signal.SIGSTOP)
    life.accepted("Approve", "tenth")
    life.waits("half")
    assert leads(second)
    versions = life.versions()
    os.kill(first.pid, signal.SIGCONT)
    until(life, lambda: not first.running, "the first has ended")
    assert first.wait() == EXIT_LOST_LEASE
    steadily(life, lambda: life.versions() == versions, 3, "the first has written nothing")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL


LONG = [{"name": "tenth", "weight": 10, "hold": "10s"}, {"name": "half", "weight": 50, "hold": "1s"}]


@pytest.fixture
def clock(life, tmp_path, monkeypatch):
    """Sets the operator's wall clock; a version is in its first step by a right one."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    monkeypatch.setenv(FILE_VARIABLE, str(offset))
    life.operator.start("tests.harness.jumping")
    life.begin("1", steps=LONG)
    life.apply("2", steps=LONG)
    life.until(lambda status: (status.get("step") or {}).get("appliedAt"), "the first step has begun")

    def jump(seconds: int) -> None:
        assert life.status["step"]["name"] == "tenth", "too late"
        aside = tmp_path / "aside"
        aside.write_text(str(seconds))
        aside.replace(offset)

    return jump


def test_a_clock_that_jumps_an_hour_ahead_does_not_shorten_a_hold(life, clock):
    clock(3600)
    life.healthy("2")
    assert life.timeline() == ALL
    times = [datetime.fromisoformat(entry["at"]).timestamp() for entry in life.status["timeline"]]
    assert times[2] - times[1] > 3000, "the clock did not jump in the first step"
    assert _held(life) > 10.0, "the hold was cut short"


def test_a_clock_that_is_set_back_an_hour_prolongs_a_hold_and_when_it_is_right_again_all_goes_on(life, clock):
    clock(-3600)
    steadily(life, lambda: life.timeline() == ALL[:2], 15, "it stays in its step")
    clock(0)
    life.healthy("2")
    assert life.timeline() == ALL
    assert _held(life) > 10.0


def _held(life) -> float:
    """Seconds from the first share of the route to the second, by a clock that does not jump."""
    begins, ends = (
        min(sight.at for sight in life.observer.history("HTTPRoute") if _share(sight.raw) == share)
        for share in (1000, 5000)
    )
    return ends - begins


def _share(route) -> int:
    return next((weight for revision, weight in carried("fraud", route).items() if revision.startswith("2-")), 0)
