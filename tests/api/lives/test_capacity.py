"""Capacity: both versions together never have more than R pods and the surge, and the weight follows what is ready."""

from tests.api.lives.test_metrics import ERRORS, judged
from tests.harness.specs import APPROVED
from tests.harness.traffic import Answers

BOUND = {"capacity": {"maxSurge": 1}}
FIELDS = {"replicas": 4, "rollout": BOUND | {"scaleDownDelay": "1s"}}


def bounded(life, most=5):
    """No more pods than that at any time, those on their way out counted."""
    living = set()
    for sight in life.observer.history("Pod"):
        (living.discard if sight.gone else living.add)(sight.name)
        assert len(living) <= most, sorted(living)


def test_the_weight_follows_ready_pods_and_stable_shrinks_behind_it(life):
    life.begin("1", **FIELDS)
    life.apply("2", **FIELDS)
    life.waits("tenth")
    assert (len(life.pods("1")), len(life.pods("2"))) == (4, 1)
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 25), ("2", 50), ("2", 75), ("2", 100)]
    life.pods_are("2", 4)
    life.pods_are("1", 0)
    bounded(life)


def test_what_is_taken_back_gives_its_places_to_the_old_version(life, traffic):
    fields = judged(ERRORS) | {"replicas": 4, "rollout": BOUND | {"keepFailed": "1s"}, "steps": None}
    fields["rollout"] |= {"steps": [{"weight": 50, "hold": "1h"}]}
    life.begin("1", **fields)
    life.apply("2", **fields)
    life.carries(v1=50, v2=50)
    life.until(lambda status: (status["step"] or {}).get("appliedAt"), "it is applied")
    traffic.answers["2"] = Answers(errors=0.5)
    life.taken_back("2")
    life.carries(v1=100)
    life.pods_are("1", 4)
    bounded(life)


def test_an_operator_that_is_killed_on_the_way_goes_on(life):
    life.begin("1", **FIELDS)
    life.apply("2", **FIELDS)
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.carries(v1=75, v2=25)
    life.operator.kill()
    life.operator.start(wait=False)
    life.waits("half")
    life.operator.kill()
    life.operator.start(wait=False)
    life.accepted("Approve", "half")
    life.carries(v1=25, v2=75)
    life.operator.kill()
    life.operator.start(wait=False)
    life.healthy("2")
    bounded(life)


def test_an_edit_to_another_strategy_in_mid_rollout_lifts_the_bound(life):
    life.begin("1", **FIELDS)
    life.apply("2", **FIELDS)
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.apply("2", replicas=4, steps=APPROVED)
    life.pods_are("1", 4)
    life.waits("half")
    life.carries(v1=50, v2=50)
    life.apply("2", **FIELDS)
    life.accepted("Approve", "half")
    life.healthy("2")
