"""The API server away, refusing, slow, closed in part, or ending its watches, in the middle of a rollout. Nothing moves; then it goes on.

Writes that fail one by one are in `test_conflicts.py`, processes that die in `test_restarts.py` and `test_crash_matrix.py`.
"""

import time
from collections import defaultdict

import pytest

from tests.api.kubectl import fresh_namespace
from tests.harness.gateway import Gateway
from tests.harness.life import Life, steadily
from tests.harness.process import Operator
from tests.harness.proxy import Proxy, is_watch, refusal_of
from tests.harness.specs import SWIFT
from tests.harness.watching import Observer

OURS = "/apis/modelrollout.dev"
GONE = {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired"}}
ALL = [("1", 100), ("2", 10), ("2", 50), ("2", 100)]


@pytest.fixture
def proxy(life, server, tmp_path):
    """Between the operator and the server. What kopf says of tries that failed is no fault; anything else still is."""
    found = Proxy(server)
    life.operator = Operator(tmp_path, found.kubeconfig(tmp_path), life.namespace)
    life.excused.add("the_operator_reports_no_fault_of_its_own")
    yield found
    if life.operator.running:
        life.operator.kill()
    found.close()


def faults(operator) -> list[str]:
    lines = (line for line in operator.lines() if line["level"] in ("error", "critical"))
    return [line["message"] for line in lines if not line["message"].startswith("Request attempt")]


def waiting(life) -> None:
    life.begin("1")
    life.apply("2")
    life.waits("tenth")


def goes_on(life) -> None:
    """The same process brings the rollout to its end."""
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.operator.starts == 1
    assert not faults(life.operator)


def stands(life, seconds: float, what: str) -> None:
    versions = life.versions()
    steadily(life, lambda: life.versions() == versions and life.operator.running, seconds, what)


def revived(life) -> None:
    """Start it again when it has ended, as a kubelet does it."""
    if not life.operator.running:
        life.operator.start(wait=False)


def outlives(life, proxy, refuses) -> None:
    """A rollout that waits outlives what the process may not: nothing moves while the server refuses, and then it goes on."""
    waiting(life)
    versions = life.versions()
    proxy.refuses = refuses
    proxy.end_watches()

    def unmoved() -> bool:
        revived(life)
        return life.versions() == versions

    steadily(life, unmoved, 10, "nothing moves")
    proxy.refuses = lambda _: None
    life.observer.until(lambda: revived(life) or _sees(life), "it works again")
    for step in ("tenth", "half"):
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("2")
    assert life.timeline() == ALL


def _sees(life) -> bool:
    return life.operator.running and '"ready: ' in life.operator.log.read_text()


def test_a_server_that_is_away_for_half_a_minute_moves_nothing(life, proxy):
    waiting(life)
    proxy.away()
    stands(life, 30, "nothing moves")
    approval = life.command("Approve", "tenth")
    proxy.back()
    assert life.outcome(approval)["outcome"] == "Accepted"
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.operator.starts == 1
    assert not faults(life.operator)


def test_a_server_that_restarts_again_and_again_stops_no_rollout(life, proxy):
    life.begin("1", steps=SWIFT)
    life.apply("2", steps=SWIFT)
    for weight in (10, 50, 100):
        life.until(lambda status, weight=weight: ("2", weight) in life.timeline(), f"weight {weight} is recorded")
        proxy.away()
        proxy.back()
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.operator.starts == 1
    assert not faults(life.operator)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_server_that_refuses_everything_for_a_while_ends_no_process(life, proxy, code):
    waiting(life)
    reasons = {500: "InternalError", 503: "ServiceUnavailable", 429: "TooManyRequests"}
    proxy.refuses = lambda _: refusal_of(code, reasons[code], "not now")
    proxy.end_watches()
    stands(life, 12, "nothing moves")
    proxy.refuses = lambda _: None
    goes_on(life)


def test_after_429_nothing_is_sent_again_before_the_time_that_the_server_named(life, proxy):
    waiting(life)
    sent: dict[tuple[str, str], list[float]] = defaultdict(list)

    def refuse(request):
        if request.method == "GET" or not request.path.endswith(("/status", "/httproutes/fraud")):
            return None
        times = sent[request.method, request.path]
        times.append(time.monotonic())
        return refusal_of(429, "TooManyRequests", "not now", {"Retry-After": "3"}) if len(times) == 1 else None

    proxy.refuses = refuse
    life.accepted("Approve", "tenth")
    life.waits("half")
    proxy.refuses = lambda _: None
    refused = {path.rsplit("/", 1)[-1]: times for (_, path), times in sent.items() if path.endswith("fraud/status")}
    assert refused, sent
    for key, times in sent.items():
        assert times[1] - times[0] >= 2.9, key
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL


def test_watches_that_end_are_taken_up_where_they_were(life, proxy):
    waiting(life)
    for step in ("tenth", "half"):
        assert len(proxy.end_watches()) >= 6
        life.accepted("Approve", step)
        if step == "tenth":
            life.waits("half")
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.operator.starts == 1
    assert not faults(life.operator)


def test_what_was_deleted_and_asked_for_while_watches_had_expired_is_seen(life, proxy):
    waiting(life)
    proxy.refuses = lambda request: refusal_of(503, "ServiceUnavailable", "not now") if is_watch(request) else None
    proxy.end_watches(GONE)
    life.objects.delete("HTTPRoute", "fraud")
    life.objects.delete("Service", f"{life.deployment('2')}")
    life.gone("HTTPRoute", "fraud")
    approval = life.command("Approve", "tenth")
    proxy.refuses = lambda _: None
    assert life.outcome(approval)["outcome"] == "Accepted"
    life.waits("half")
    life.carries(v1=50, v2=50)
    life.observer.until(lambda: life.observer.now("Service", life.deployment("2")), "its Service is there again")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.operator.starts == 1
    assert not faults(life.operator)


def test_answers_that_take_five_seconds_move_each_weight_once(life, proxy):
    waiting(life)
    proxy.slow = 5.0
    approval = life.command("Approve", "tenth")
    life.until(lambda status: status["step"]["name"] == "half", "the next step is recorded", seconds=240)
    life.carries(v1=50, v2=50, seconds=240)
    proxy.slow = 0.0
    assert life.outcome(approval)["outcome"] == "Accepted"
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == ALL
    assert life.operator.starts == 1


def test_credentials_that_are_refused_for_a_while_move_nothing(life, proxy):
    outlives(life, proxy, lambda _: refusal_of(401, "Unauthorized", "Unauthorized"))


def test_while_its_own_kinds_are_not_served_nothing_that_runs_is_touched(life, proxy):
    outlives(life, proxy, lambda request: refusal_of(404, "NotFound", "page not found") if _ours(request) else None)


def _ours(request) -> bool:
    return request.path.startswith(OURS)


@pytest.fixture
def neighbour(life, cluster, server):
    """Another life in another namespace, of the same operator."""
    with fresh_namespace(cluster.kubectl, "life") as kubectl:
        observer = Observer(server, kubectl.namespace)
        gateway = Gateway(server, observer, kubectl.namespace)
        try:
            yield Life(kubectl, server.of(kubectl.namespace), observer, gateway, life.operator)
        finally:
            gateway.close()
            observer.close()


def test_a_namespace_whose_permission_is_withdrawn_stands_and_the_others_go_on(life, neighbour, server, tmp_path):
    proxy = Proxy(server)
    both = {"namespaces": [life.namespace, neighbour.namespace]}
    life.operator = neighbour.operator = Operator(tmp_path, proxy.kubeconfig(tmp_path), "", both)
    life.excused.add("the_operator_reports_no_fault_of_its_own")
    closed = f"/namespaces/{neighbour.namespace}/"

    def close() -> None:
        proxy.refuses = lambda request: refusal_of(403, "Forbidden", "no") if closed in request.path else None
        proxy.end_watches()

    try:
        waiting(life)
        waiting(neighbour)
        close()
        versions = neighbour.versions()
        life.accepted("Approve", "tenth")
        life.waits("half")
        # Five tries of a watch take nine seconds; a process that gives up after them takes all rollouts along.
        steadily(life, lambda: life.operator.running, 12, "the process lives")
        life.operator.kill()
        life.operator.start()
        approval = neighbour.command("Approve", "tenth")
        life.accepted("Approve", "half")
        life.healthy("2")
        assert {key: version for key, version in neighbour.versions().items() if key in versions} == versions
        proxy.refuses = lambda _: None
        assert neighbour.outcome(approval)["outcome"] == "Accepted"
        neighbour.waits("half")
        assert life.operator.starts == 2
        assert not faults(life.operator)
    finally:
        if life.operator.running:
            life.operator.kill()
        proxy.close()
