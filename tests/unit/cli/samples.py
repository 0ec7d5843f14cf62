"""ModelDeployments in the states that people meet, as the API server hands them out. All at 2026-07-26 14:20Z."""

from __future__ import annotations

from typing import Any

from modelrollout.api.scalars import Timestamp

NOW = float(Timestamp.parse("2026-07-26T14:20:00Z"))

STEPS = [
    {"weight": 5, "hold": "10m"},
    {"weight": 25, "hold": "30m", "advance": "Approval"},
    {"weight": 50, "hold": "1h"},
    {"name": "bake", "weight": 100, "hold": "1h"},
]
STABLE = {
    "revision": "1-5d8c7b20",
    "version": "1",
    "role": "Stable",
    "weight": 75,
    "replicas": 3,
    "readyReplicas": 3,
}
CANDIDATE = {
    "revision": "2-7c9f4a1b",
    "version": "2",
    "role": "Candidate",
    "weight": 25,
    "replicas": 1,
    "readyReplicas": 1,
}
ROLLOUT = {
    "revision": "2-7c9f4a1b",
    "startedAt": "2026-07-26T13:10:00Z",
    "replicas": 3,
    "loadedAt": "2026-07-26T13:10:41Z",
    "loading": "41.2s",
}
ERRORS = {
    "name": "errors",
    "verdict": "Continue",
    "candidate": "0.42%",
    "stable": "0.5%",
    "ratio": "0.84",
    "limit": "2%",
    "requests": 1834,
    "stableRequests": 5500,
    "checks": "..F..",
}
LATENCY = {
    "name": "latency",
    "verdict": "Pass",
    "candidate": "1.1%",
    "stable": "1.2%",
    "ratio": "0.92",
    "interval": "0.70–1.21",
    "evidence": "1 %",
    "certificate": "63 %",
    "designEffect": "1.8 (stable's pods differ 1.8 times as much as by chance, seen in blocks of 5 min)",
    "effectiveThreshold": "250ms",
    "requests": 1834,
}


def mdep(
    status: dict[str, Any] | None = None, *, name: str = "fraud", generation: int = 7, **spec: Any
) -> dict[str, Any]:
    """A ModelDeployment with this status (observed at its generation unless it says otherwise)."""
    written = {"version": "2", "server": {"image": "registry.example.com/fraud:2"}, "rollout": {"steps": STEPS}} | spec
    found: dict[str, Any] = {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": "100",
            "creationTimestamp": "2026-07-17T14:00:00Z",
        },
        "spec": written,
    }
    if status is not None:
        found["status"] = {"observedGeneration": generation, "desired": DESIRED, **status}
    return found


DESIRED = {"revision": "2-7c9f4a1b", "version": "2", "state": "Running"}


def step(index: int, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "index": index, "total": 4, "startedAt": "2026-07-26T14:00:00Z"} | more


def summary(**columns: str) -> dict[str, str]:
    return {"stable": "1", "candidate": "2", "ready": "3/3"} | columns


def new() -> dict[str, Any]:
    """Created, not yet seen by any operator."""
    return mdep(None)


def healthy() -> dict[str, Any]:
    """Version 1 serves, nothing else exists."""
    return mdep(
        {
            "phase": "Healthy",
            "message": "Version 1 serves all traffic.",
            "summary": summary(candidate="", weight="", step="", reason="Serving"),
            "desired": {"revision": "1-5d8c7b20", "version": "1", "state": "Serving"},
            "revisions": [STABLE | {"weight": 100}],
        }
    )


def former_warm() -> dict[str, Any]:
    """Version 2 was promoted a moment ago; version 1 is the way back."""
    return mdep(
        {
            "phase": "Healthy",
            "message": "Version 2 serves all traffic; version 1 stays warm until 14:35Z.",
            "summary": summary(stable="2", candidate="", reason="Serving"),
            "desired": DESIRED | {"state": "Serving"},
            "revisions": [
                CANDIDATE | {"role": "Stable", "weight": 100, "replicas": 3, "readyReplicas": 3},
                STABLE | {"role": "Former", "weight": 0, "warmUntil": "2026-07-26T14:35:00Z"},
            ],
            "history": [
                {
                    "revision": "2-7c9f4a1b",
                    "version": "2",
                    "outcome": "Promoted",
                    "startedAt": "2026-07-26T11:00:00Z",
                    "endedAt": "2026-07-26T14:19:30Z",
                    "reason": "Promoted",
                    "message": "Version 2 serves all traffic.",
                }
            ],
            "timeline": [
                {"at": "2026-07-26T11:01:00Z", "revision": "2-7c9f4a1b", "weight": 5, "reason": "step weight-5"},
                {
                    "at": "2026-07-26T11:41:00Z",
                    "revision": "2-7c9f4a1b",
                    "weight": "12.5%",
                    "reason": "step weight-12.5",
                },
                {"at": "2026-07-26T13:19:30Z", "revision": "2-7c9f4a1b", "weight": 100, "reason": "Approved"},
            ],
            "commands": [
                {
                    "uid": "u1",
                    "name": "fraud-x7k2p",
                    "action": "Approve",
                    "by": "alice@example.com",
                    "outcome": "Accepted",
                    "message": "step weight-25 of revision 2-7c9f4a1b approved",
                    "at": "2026-07-26T13:19:29Z",
                }
            ],
        }
    )


def loading() -> dict[str, Any]:
    return mdep(
        {
            "phase": "Loading",
            "message": "Version 2 is loading: 0 of 1 pods ready.",
            "summary": summary(weight="0", step="0/4", reason="ModelLoading"),
            "revisions": [STABLE | {"weight": 100}, CANDIDATE | {"weight": 0, "readyReplicas": 0}],
            "rollout": {key: value for key, value in ROLLOUT.items() if key != "loadedAt"} | {"loading": "95s"},
            "step": step(0, ""),
        }
    )


def progressing() -> dict[str, Any]:
    return mdep(
        {
            "phase": "Progressing",
            "message": "Step 3 of 4: version 2 has 50% of traffic and passes; 100% about 15:02Z.",
            "summary": summary(weight="50", step="3/4", reason="AnalysisPassing"),
            "revisions": [
                STABLE | {"weight": 50},
                CANDIDATE | {"weight": 50, "effectiveWeight": 40, "replicas": 2, "readyReplicas": 2},
            ],
            "traffic": {"router": "Service", "measured": "39.6"},
            "rollout": ROLLOUT,
            "step": step(3, "weight-50", covered="1081.5s", advanceAt="2026-07-26T15:02:00Z"),
            "metrics": [ERRORS, LATENCY],
        }
    )


def waiting() -> dict[str, Any]:
    """Step 2 of 4 waits for a person."""
    return mdep(
        {
            "phase": "Paused",
            "message": "Step 2 of 4 waits for approval since 14:05Z; then version 2 gets 50% of traffic.",
            "summary": summary(weight="25", step="2/4", reason="ApprovalRequired"),
            "revisions": [STABLE, CANDIDATE],
            "rollout": ROLLOUT,
            "step": step(2, "weight-25", covered="1800s"),
            "metrics": [ERRORS, LATENCY],
        }
    )


def preview() -> dict[str, Any]:
    """Blue/green: version 2 has no traffic and waits for a person."""
    return mdep(
        {
            "phase": "Paused",
            "message": "Step 1 of 2 (preview) waits for approval: `kubectl modelrollout approve fraud`. Then 100 %.",
            "summary": summary(weight="0", step="1/2", reason="ApprovalRequired"),
            "revisions": [STABLE | {"weight": 100}, CANDIDATE | {"weight": 0, "replicas": 3, "readyReplicas": 3}],
            "rollout": ROLLOUT,
            "step": step(1, "preview", total=2, weight=0, appliedAt="2026-07-26T14:00:02Z"),
            "previewURL": "http://fraud-preview.ml.svc",
            "traffic": {"router": "Gateway", "testerHeader": "x-modelrollout-version: 5d41402abc4b"},
        },
        rollout={"strategy": "BlueGreen"},
    )


def testing() -> dict[str, Any]:
    """An A/B test of two variants beside the control; a third was taken out."""
    goal = {
        "variant": "11.9 %",
        "control": "10 %",
        "ratio": "1.19",
        "interval": "1.02–1.39",
        "evidence": "44 %",
        "count": 12_034,
        "hits": 1_432,
        "controlCount": 28_011,
        "controlHits": 2_801,
        "better": False,
    }
    arms = [
        {"name": "b", "revision": "2-7c9f4a1b", "loadedAt": "2026-07-26T13:10:41Z", "metrics": [ERRORS], "goal": goal},
        {
            "name": "challenger-3",
            "revision": "3-b21aa04e",
            "loadedAt": "2026-07-26T13:10:44Z",
            "goal": {"evidence": "5 %"},
        },
        {
            "name": "d",
            "revision": "4-11aa22bb",
            "out": {"reason": "ErrorRateWorse", "message": "errors 19.8 % against 0.5 % on 412 requests"},
        },
    ]
    variant = CANDIDATE | {"role": "Variant"}
    return mdep(
        {
            "phase": "Progressing",
            "message": "A/B test for 14d, begun 13:11Z: variant b (version 2) 20 %, variant challenger-3 (version 3) 5 %, the rest to the control.",
            "summary": summary(candidate="2, 3", weight="20, 5", step="", reason="ExperimentRunning"),
            "desired": {"revision": "1-5d8c7b20", "version": "1", "state": "Running"},
            "revisions": [
                STABLE,
                variant | {"weight": 20},
                variant | {"revision": "3-b21aa04e", "version": "3", "weight": 5},
                variant | {"revision": "4-11aa22bb", "version": "4", "weight": 0, "role": "Former"},
            ],
            "experiment": {
                "id": "0123456789ab",
                "control": "1-5d8c7b20",
                "startedAt": "2026-07-26T13:10:00Z",
                "begunAt": "2026-07-26T13:11:00Z",
                "appliedAt": "2026-07-26T13:11:02Z",
                "covered": "4100s",
                "replicas": 3,
                "variants": arms,
            },
            "rejected": [
                {
                    "revision": "4-11aa22bb",
                    "version": "4",
                    "at": "2026-07-26T13:30:00Z",
                    "reason": "ErrorRateWorse",
                    "message": "errors 19.8 % against 0.5 % on 412 requests",
                }
            ],
        },
        rollout={"strategy": "Canary"},
    )


def paused() -> dict[str, Any]:
    """Paused by command in a step that was already approved."""
    return mdep(
        {
            "phase": "Paused",
            "message": "Paused at 25% by bob since 14:11Z.",
            "summary": summary(weight="25", step="2/4", reason="PausedByCommand"),
            "revisions": [STABLE, CANDIDATE],
            "rollout": ROLLOUT,
            "step": step(2, "weight-25", covered="600s", approval={"by": "alice", "at": "2026-07-26T14:03:00Z"}),
            "paused": {"by": "bob", "at": "2026-07-26T14:11:00Z"},
            "metrics": [ERRORS, LATENCY],
        }
    )


def no_metrics() -> dict[str, Any]:
    """Prometheus is down."""
    return mdep(
        {
            "phase": "Progressing",
            "message": 'Holding at 5%: provider "default" has not answered since 14:01Z (connection refused). Nothing '
            "changes until it does; missed windows will be read back then.",
            "summary": summary(weight="5", step="1/4", reason="MetricsUnavailable"),
            "revisions": [STABLE | {"weight": 95}, CANDIDATE | {"weight": 5}],
            "rollout": ROLLOUT | {"attempt": 1},
            "step": step(1, "weight-5", covered="60s"),
            "metrics": [
                {"name": "errors", "verdict": "Error", "message": "no answer since 14:01Z: connection refused"},
                {"name": "latency-of-scoring-requests", "verdict": "NoData"},
            ],
        }
    )


def rolled_back() -> dict[str, Any]:
    message = (
        "Version 3 was taken back at 14:12:31Z at 5%: errors 19.8% against 0.5% on 412 requests. Traffic is on version 1. "
        "Fix the model and apply a new version, or `kubectl modelrollout retry fraud`."
    )
    return mdep(
        {
            "phase": "RolledBack",
            "message": message,
            "summary": summary(candidate="3", weight="0", step="1/4", reason="ErrorRateWorse"),
            "desired": {"revision": "3-b21aa04e", "version": "3", "state": "Rejected"},
            "revisions": [
                STABLE | {"weight": 100},
                {
                    "revision": "3-b21aa04e",
                    "version": "3",
                    "role": "Former",
                    "weight": 0,
                    "replicas": 1,
                    "readyReplicas": 1,
                    "keptUntil": "2026-07-26T14:22:31Z",
                },
            ],
            "rejected": [
                {
                    "revision": "3-b21aa04e",
                    "version": "3",
                    "at": "2026-07-26T14:12:31Z",
                    "reason": "ErrorRateWorse",
                    "message": message,
                }
            ],
            "history": [
                {
                    "revision": "3-b21aa04e",
                    "version": "3",
                    "outcome": "RolledBack",
                    "startedAt": "2026-07-26T14:10:00Z",
                    "endedAt": "2026-07-26T14:12:31Z",
                    "reason": "ErrorRateWorse",
                    "message": "errors 19.8% against 0.5% on 412 requests",
                }
            ],
        },
        version="3",
    )


def failed() -> dict[str, Any]:
    message = (
        'Version 4 was not ready within 15m: container "server" exits with 1: "FileNotFoundError: '
        '/models/model.pkl" (restarted 5 times). No traffic was moved.'
    )
    return mdep(
        {
            "phase": "Failed",
            "message": message,
            "summary": summary(candidate="4", weight="0", step="0/4", reason="ModelLoadFailed"),
            "desired": {"revision": "4-00aa11bb", "version": "4", "state": "Rejected"},
            "revisions": [STABLE | {"weight": 100}],
            "rejected": [
                {
                    "revision": "4-00aa11bb",
                    "version": "4",
                    "at": "2026-07-26T14:15:00Z",
                    "reason": "ModelLoadFailed",
                    "message": message,
                }
            ],
        },
        version="4",
    )


def first_version() -> dict[str, Any]:
    """Nothing serves yet."""
    return mdep(
        {
            "phase": "Deploying",
            "message": "Version 2 is the first one: it takes all traffic when its pods are ready.",
            "summary": summary(stable="", weight="0", ready="0/3", reason="Creating"),
            "revisions": [CANDIDATE | {"weight": 0, "replicas": 3, "readyReplicas": 1}],
            "rollout": {key: value for key, value in ROLLOUT.items() if key != "loadedAt"}
            | {"mode": "Direct", "cause": "FirstVersion"},
        }
    )


def invalid() -> dict[str, Any]:
    """The spec cannot be carried out; what ran goes on."""
    return mdep(
        {
            "phase": "Healthy",
            "message": 'spec.server.runtime: there is no preset "Fastapi": did you mean FastAPI?',
            "summary": summary(candidate="", reason="InvalidSpec"),
            "desired": {"state": "Invalid"},
            "revisions": [STABLE | {"weight": 100}],
        }
    )


def unseen_edit() -> dict[str, Any]:
    """The spec was changed a moment ago."""
    found = healthy()
    found["metadata"]["generation"] = 8
    return found


def long_names() -> dict[str, Any]:
    """Names as long as they may be."""
    revision = "v2026-07-26-rc10-7c9f4a1b"
    return mdep(
        waiting()["status"]
        | {
            "revisions": [
                STABLE | {"weight": "87.25%"},
                CANDIDATE
                | {
                    "revision": revision,
                    "version": "v2026.07.26-rc10.build4711",
                    "weight": "12.75%",
                    "replicas": 10,
                    "readyReplicas": 10,
                },
            ],
            "rollout": ROLLOUT | {"revision": revision},
        },
        name="credit-card-fraud-scoring-europe-01",
    )


STATES = {
    maker.__name__.replace("_", "-"): maker
    for maker in (
        new, healthy, former_warm, loading, progressing, waiting, paused, no_metrics, rolled_back, failed, first_version,
        invalid, unseen_edit, long_names, preview, testing,
    )
}  # fmt: skip
