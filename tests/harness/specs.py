"""ModelDeployments for lives: short to write in a test, and in control of when a step ends."""

from typing import Any

Json = dict[str, Any]

GATEWAY = {"gateway": {"parentRefs": [{"name": "public"}]}}
APPROVED = [
    {"name": "tenth", "weight": 10, "advance": "Approval"},
    {"name": "half", "weight": 50, "advance": "Approval"},
]
"""Steps that end only when a test says so."""
SWIFT = [{"name": "tenth", "weight": 10, "hold": "1s"}, {"name": "half", "weight": 50, "hold": "1s"}]
"""Steps that end by themselves, soon."""


def errors(lookback: str) -> Json:
    """A metric that takes a version back after two bad looks of three."""
    return {
        "name": "errors",
        "errorRate": {},
        "method": "Threshold",
        "limit": "5%",
        "minimumSampleSize": 20,
        "threshold": {"lookback": lookback, "failures": 2, "of": 3},
    }


def ab_test(**fields: Any) -> Json:
    """`rollout` of an A/B test of versions 2 and 3 beside the one that the spec names."""
    variants = [
        {"name": "b", "weight": 20, "server": {"image": image("2")}},
        {"name": "c", "weight": 30, "server": {"image": image("3")}},
    ]
    return {"steps": None, "strategy": "ABTest", "variants": variants, **fields}


def image(version: str) -> str:
    return f"registry.example.com/fraud:{version}"


def model(
    number: str = "1",
    /,
    *,
    name: str = "fraud",
    steps: list[Json] | None = None,
    env: dict[str, str] | None = None,
    server: Json | None = None,
    rollout: Json | None = None,
    **fields: Any,
) -> Json:
    """A ModelDeployment of two pods behind a gateway, unjudged. `fields` go over the spec; None takes one away, in `rollout` too."""
    spec: Json = {
        "server": {"runtime": "FastAPI", "image": image(number)} | (server or {}),
        "replicas": 2,
        "traffic": GATEWAY,
        "rollout": {"steps": APPROVED if steps is None else steps} | (rollout or {}),
        "analysis": {"mode": "None"},
    }
    if env:
        spec["server"]["env"] = [{"name": key, "value": text} for key, text in env.items()]
    spec |= fields
    if isinstance(spec.get("rollout"), dict):
        spec["rollout"] = {key: value for key, value in spec["rollout"].items() if value is not None}
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def slow(delay: str) -> dict[str, str]:
    """Environment of a version whose pods take so long to become ready."""
    return {"KWOK_READY_DELAY": delay}


def behaving(behavior: str) -> dict[str, str]:
    """Environment of a version whose pods are `never-ready`, `crash-loop` or `image-pull-error`."""
    return {"KWOK_BEHAVIOR": behavior}
