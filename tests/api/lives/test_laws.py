"""The laws catch what they are there for: each against a history with the fault in it, and one without."""

from types import SimpleNamespace

import pytest

from tests.harness import laws
from tests.harness.watching import Sight


class Seen:
    """An observer of a history that never happened."""

    def __init__(self, *sights: Sight) -> None:
        self.sights = sights

    def history(self, kind: str = "", name: str = "") -> list[Sight]:
        return [sight for sight in self.sights if kind in ("", sight.kind) and name in ("", sight.name)]


def sight(version: int, kind: str, raw: dict, name: str = "fraud") -> Sight:
    managed = [{"manager": "modelrollout", "operation": "Apply", "time": f"2026-01-01T00:00:{version:02d}Z"}]
    metadata = {"name": name, "uid": name, "generation": 1, "resourceVersion": str(version), "managedFields": managed}
    return Sight(version, kind, name, False, {"metadata": metadata} | raw, float(version))


def status(version: int, stable: int, candidate: int, entries: int, **fields) -> Sight:
    revisions = [
        {"revision": "1-a", "weight": stable, "replicas": 2},
        {"revision": "2-b", "weight": candidate, "replicas": 1},
    ]
    timeline = [{"revision": "2-b", "weight": candidate, "at": str(number)} for number in range(entries)]
    conditions = [{"type": "Ready", "status": "True"}]
    common = {"revisions": revisions, "timeline": timeline, "message": "So it is.", "observedGeneration": 1}
    return sight(version, "ModelDeployment", {"status": common | {"conditions": conditions} | fields})


def route(version: int, stable: int, candidate: int) -> Sight:
    backends = [{"name": "fraud-1-a", "weight": stable}, {"name": "fraud-2-b", "weight": candidate}]
    return sight(version, "HTTPRoute", {"spec": {"rules": [{"matches": [{}], "backendRefs": backends}]}})


def deployment(version: int, ready: int, image: str = "fraud:2") -> Sight:
    template = {"metadata": {}, "spec": {"containers": [{"name": "server", "image": image}]}}
    return sight(
        version, "Deployment", {"spec": {"template": template}, "status": {"readyReplicas": ready}}, "fraud-2-b"
    )


def life(*sights: Sight, lines: tuple[dict, ...] = ()) -> SimpleNamespace:
    operator = SimpleNamespace(lines=lambda: list(lines))
    return SimpleNamespace(observer=Seen(*sights), operator=operator, name="fraud", excused=set())


UNCHANGED = [{"revision": "2-b", "weight": 0, "at": "0"}]
SOUND = (status(1, 100, 0, 1), deployment(2, 1), status(3, 90, 10, 2), route(4, 9000, 1000))


def test_a_sound_history_passes_every_law():
    laws.judge(life(*SOUND, lines=({"level": "info", "message": "ready"},)))


@pytest.mark.parametrize(
    ("law", "history"),
    [
        (laws.weights_add_up, [status(1, 90, 20, 1)]),
        (laws.weights_add_up, [route(1, 9000, 900)]),
        (laws.weights_rise_only_onto_ready_pods, [status(1, 100, 0, 1), deployment(2, 0), status(3, 90, 10, 2)]),
        (laws.intent_is_recorded_before_it_is_carried_out, [status(1, 100, 0, 1), route(2, 9000, 1000)]),
        (laws.pod_templates_never_change, [deployment(1, 1), deployment(2, 1, "fraud:3")]),
        (
            laws.every_weight_has_an_entry_in_the_timeline,
            [status(1, 100, 0, 1), status(2, 90, 10, 1, timeline=UNCHANGED)],
        ),
        (laws.conditions_are_consistent, [status(1, 100, 0, 1, message="")]),
        (
            laws.conditions_are_consistent,
            [
                status(
                    1, 100, 0, 1, conditions=[{"type": kind, "status": "True"} for kind in ("Reconciling", "Stalled")]
                )
            ],
        ),
        (laws.statuses_stay_small, [status(1, 100, 0, 1, message="x" * 17_000)]),
        (
            laws.nothing_is_written_in_a_loop,
            [status(1, 100, 0, 1), *(route(number, 10_000, 0) for number in range(2, 9))],
        ),
    ],
)
def test_each_law_catches_its_fault(law, history):
    with pytest.raises(AssertionError):
        law(life(*history))


def test_a_traceback_of_the_operator_is_a_fault():
    with pytest.raises(AssertionError):
        laws.the_operator_reports_no_fault_of_its_own(life(lines=({"level": "error", "message": "boom"},)))
