"""Writes that fail: refused, refused for a newer object, done but unanswered, and a cluster where somebody writes all the time."""

import threading

import pytest

from tests.harness.apiserver import RefusedError
from tests.harness.process import Operator
from tests.harness.proxy import Fate, Proxy
from tests.harness.specs import SWIFT

BRIEF = {"keepFailed": "1s", "scaleDownDelay": "1s"}


def live_through(life) -> None:
    """A promotion, an abort, and everything that leaves after them."""
    life.apply("1", steps=SWIFT, rollout=BRIEF)
    life.operator.start(wait=False)
    life.healthy("1", seconds=150)
    life.apply("2", steps=SWIFT, rollout=BRIEF)
    life.healthy("2", seconds=150)
    life.apply("3", rollout=BRIEF)
    life.waits("tenth")
    life.accepted("Abort")
    life.taken_back("3")
    life.until(lambda status: len(status["revisions"]) == 1, "the others are gone")


def check(life) -> None:
    assert life.outcomes() == [("1", "Promoted"), ("2", "Promoted"), ("3", "Aborted")]
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 100), ("3", 10), ("3", 0)]
    life.carries(v2=100)
    life.pods_are("2", 2)


@pytest.mark.parametrize("fate", [Fate.CONFLICT, Fate.ERROR, Fate.LOST], ids=["409", "500", "lost"])
def test_every_kind_of_write_may_fail_once(life, server, tmp_path, fate):
    # A conflict is decided again at once; after other faults the queue backs off, and each further one doubles that.
    proxy = Proxy(server, fate, lambda: None, every=1 if fate is Fate.CONFLICT else 3)
    life.operator = Operator(tmp_path, proxy.kubeconfig(tmp_path), life.namespace)
    try:
        live_through(life)
        if fate is Fate.CONFLICT:
            struck = {path.split("/")[-1 if method == "POST" else -2] for method, path, *_ in proxy.struck}
            assert struck >= {"deployments", "services", "httproutes", "controllerrevisions", "fraud"}
        assert len(proxy.struck) >= (30 if fate is Fate.CONFLICT else 10)
    finally:
        proxy.fate = Fate.PASS
        if life.operator.running:
            life.operator.kill()
        proxy.close()
    check(life)


def test_somebody_who_writes_to_every_object_all_the_time_holds_nothing_up(life):
    ended = threading.Event()

    def scribble() -> None:
        count = 0
        while not ended.wait(0.02):
            for kind in ("ModelDeployment", "Deployment", "HTTPRoute", "Service"):
                for one in life.observer.all(kind):
                    count += 1
                    body = {"metadata": {"annotations": {"scribble": str(count)}}}
                    try:
                        life.objects.patch(kind, one["metadata"]["name"], body, manager="scribbler")
                    except RefusedError:
                        continue

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        live_through(life)
        refused = {resource for (_, resource), count in life.operator.requests(code="409").items() if count}
        assert refused, "nothing ever came in between"
    finally:
        ended.set()
        writer.join()
    check(life)
