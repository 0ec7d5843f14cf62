"""What must hold over the whole history of a life, whatever happened in it. Judged on what the API server stored, in its order.

A law that a life breaks on purpose from outside (somebody edits the route) is excused by name in that test.
"""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from tests.harness.apiserver import Json
from tests.harness.life import Life, carried, conditions
from tests.harness.watching import Sight

OURS = "modelrollout"
RESTARTED = "kubectl.kubernetes.io/restartedAt"


def judge(life: Life) -> None:
    """Hold every law against the life, save those that it is excused from."""
    for law in LAWS:
        if law.__name__ not in life.excused:
            law(life)


def weights_add_up(life: Life) -> None:
    for sight in life.observer.history("ModelDeployment"):
        weights = [_percent(entry["weight"]) for entry in _status(sight).get("revisions", ())]
        assert sum(weights) in (0, 10_000), f"{sight.version}: {weights}"
    for sight in life.observer.history("HTTPRoute"):
        if not sight.gone and _writer(sight.raw) == OURS and not _is_preview(sight):
            shares = carried(sight.name, sight.raw)
            assert sum(shares.values()) == 10_000, f"{sight.version}: {shares}"


def weights_rise_only_onto_ready_pods(life: Life) -> None:
    """Judged when the weight is recorded: status is written before the route, on a fresh read of the Deployment."""
    ready: dict[str, int] = {}
    before: dict[str, dict[str, int]] = {}
    for sight in life.observer.history():
        if sight.kind == "Deployment":
            ready[sight.name] = 0 if sight.gone else (sight.raw.get("status") or {}).get("readyReplicas", 0)
        if sight.kind != "ModelDeployment":
            continue
        entries = {entry["revision"]: entry for entry in _status(sight).get("revisions", ())}
        weights = {revision: _percent(entry["weight"]) for revision, entry in entries.items()}
        former = before.get(sight.name, {})
        for revision, weight in weights.items():
            # The first sight of a status that was lost shows what was found, not what was decided.
            if former and weight > former.get(revision, 0) and entries[revision]["replicas"]:
                pods = ready.get(f"{sight.name}-{revision}", 0)
                assert pods, f"{sight.version}: {revision} rises to {weight} with no ready pod"
        before[sight.name] = weights


def intent_is_recorded_before_it_is_carried_out(life: Life) -> None:
    """The route carries what the latest status of before says."""
    recorded: dict[str, dict[str, int]] = {}
    for sight in life.observer.history():
        if sight.kind == "ModelDeployment" and _status(sight).get("revisions"):
            weights = {entry["revision"]: _percent(entry["weight"]) for entry in _status(sight)["revisions"]}
            recorded[sight.name] = {revision: weight for revision, weight in weights.items() if weight}
        if sight.kind == "HTTPRoute" and not sight.gone and _writer(sight.raw) == OURS and not _is_preview(sight):
            shares = {revision: weight for revision, weight in carried(sight.name, sight.raw).items() if weight}
            assert shares == recorded.get(sight.name), f"{sight.version}: {shares} against {recorded.get(sight.name)}"


def pod_templates_never_change(life: Life) -> None:
    """By our hand: what others add to a template is theirs."""
    first: dict[str, Any] = {}
    for sight in life.observer.history("Deployment"):
        uid, template = sight.raw["metadata"]["uid"], json.loads(json.dumps(sight.raw["spec"]["template"]))
        (template["metadata"].get("annotations") or {}).pop(RESTARTED, None)
        assert template == first.setdefault(uid, template), f"{sight.version}: the template of {sight.name} changed"


def every_weight_has_an_entry_in_the_timeline(life: Life) -> None:
    for name in {sight.name for sight in life.observer.history("ModelDeployment")}:
        for before, after in pairwise(life.observer.history("ModelDeployment", name)):
            old, new = _status(before), _status(after)
            if not old.get("revisions") or not new.get("revisions"):
                continue
            weights = [{one["revision"]: one["weight"] for one in status["revisions"]} for status in (old, new)]
            moved = [one for one in weights[1] if weights[1][one] != weights[0].get(one, 0)]
            if moved:
                assert new["timeline"] != old["timeline"], f"{after.version}: {moved} moved without an entry"
                last = new["timeline"][-1]
                assert weights[1].get(last["revision"]) == last["weight"], f"{after.version}: {last}"


def conditions_are_consistent(life: Life) -> None:
    for sight in life.observer.history("ModelDeployment"):
        status = _status(sight)
        found = conditions(status)
        if not found:
            continue
        true = {kind for kind, condition in found.items() if condition["status"] == "True"}
        assert not {"Reconciling", "Stalled"} <= true, f"{sight.version}: {found}"
        assert len(true & {"Ready", "Reconciling", "Stalled"}) == 1, f"{sight.version}: {true}"
        assert status["observedGeneration"] <= sight.raw["metadata"]["generation"]
        assert status["message"], f"{sight.version}: no message"
        assert "  " not in status["message"], status["message"]
        assert ".." not in status["message"].replace("...", ""), status["message"]


def statuses_stay_small(life: Life) -> None:
    largest = max((len(json.dumps(_status(sight))) for sight in life.observer.history("ModelDeployment")), default=0)
    assert largest < 16_384, f"a status has {largest} bytes"


def nothing_is_written_in_a_loop(life: Life) -> None:
    """A status write says something new, and other objects are written a few times for each thing that happens."""
    for before, after in _neighbours(life, "ModelDeployment"):
        if before.raw["metadata"].get("generation") == after.raw["metadata"].get("generation"):
            assert before.raw != after.raw
    statuses = life.observer.history("ModelDeployment", life.name)
    for kind in ("Deployment", "Service", "HTTPRoute"):
        for name in {sight.name for sight in life.observer.history(kind)}:
            stamps = {
                entry["time"] for sight in life.observer.history(kind, name) for entry in _entries(sight.raw, OURS)
            }
            assert len(stamps) <= 3 + len(statuses), f"{kind} {name} was written {len(stamps)} times"


def the_operator_reports_no_fault_of_its_own(life: Life) -> None:
    faults = [line for line in life.operator.lines() if line.get("level") in ("error", "critical")]
    assert not faults, faults[:3]


LAWS: tuple[Callable[[Life], None], ...] = (
    the_operator_reports_no_fault_of_its_own,
    weights_add_up,
    weights_rise_only_onto_ready_pods,
    intent_is_recorded_before_it_is_carried_out,
    pod_templates_never_change,
    every_weight_has_an_entry_in_the_timeline,
    conditions_are_consistent,
    statuses_stay_small,
    nothing_is_written_in_a_loop,
)


def _status(sight: Sight) -> Json:
    found: Json = sight.raw.get("status") or {}
    return found


def _is_preview(sight: Sight) -> bool:
    """A route that divides nothing: it leads to the preview Service."""
    return sight.name.endswith("-preview")


def _percent(weight: Any) -> int:
    """Basis points of a weight as status writes it."""
    return round(float(str(weight).removesuffix("%")) * 100)


def _entries(raw: Json, manager: str) -> Iterator[Json]:
    return (entry for entry in raw["metadata"].get("managedFields") or () if entry.get("manager") == manager)


def _writer(raw: Json) -> str:
    """Who wrote last: the manager with the newest time; among equals the operator is not blamed."""
    entries = [entry for entry in raw["metadata"].get("managedFields") or () if not entry.get("subresource")]
    newest = max((entry["time"] for entry in entries), default="")
    writers = {entry["manager"] for entry in entries if entry["time"] == newest}
    return OURS if writers == {OURS} else "somebody"


def _neighbours(life: Life, kind: str) -> Iterator[tuple[Sight, Sight]]:
    for name in {sight.name for sight in life.observer.history(kind)}:
        yield from pairwise(life.observer.history(kind, name))
