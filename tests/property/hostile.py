"""Specs by somebody who wants to do harm, or whose generator has gone wrong: a sound spec with hostile values planted in it.

Each is made from its number alone, so that a failure can be had again. `trap` is an address on which a test listens: nobody may
ask it anything, whatever field it stands in.
"""

import copy
import random
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Place = tuple[str | int, ...]

SOUND: Json = {
    "version": "2",
    "model": {"name": "fraud", "uri": "s3://models/fraud/2", "format": "sklearn"},
    "server": {
        "runtime": "FastAPI",
        "image": "registry.example.com/fraud:2",
        "env": [{"name": "COLOUR", "value": "blue"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    },
    "template": {
        "metadata": {"labels": {"team": "risk"}, "annotations": {"note": "text"}},
        "spec": {"nodeSelector": {"pool": "models"}, "containers": [{"name": "server", "workingDir": "/srv"}]},
    },
    "replicas": 1,
    "service": {"name": "fraud", "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
    "traffic": {
        "gateway": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["fraud.example.com"],
            "pathPrefix": "/",
        }
    },
    "rollout": {
        "strategy": "Canary",
        "steps": [{"name": "tenth", "weight": 10, "hold": "1m"}, {"weight": 50, "hold": "1m"}],
        "scaleDownDelay": "1m",
    },
    "analysis": {
        "provider": "default",
        "interval": "15s",
        "metrics": [
            {"name": "errors", "errorRate": {"excludePaths": ["/health"]}, "limit": "2%"},
            {
                "name": "ratio",
                "ratio": {
                    "bad": {"series": "bad_total", "match": [{"label": "code", "value": "500"}]},
                    "total": {"series": "all_total", "match": [{"label": "code", "not": ["100"]}]},
                },
                "limit": "2%",
            },
            {"name": "number", "query": 'max(x{version="{{version}}"})', "range": {"max": 5}},
        ],
    },
}

WORDS = (
    '"} or vector(1) #',
    '"}) or up{job=~".*"} #',
    "'} or 1 > 0 or x{a='",
    "`\n} or vector(1)",
    "{{namespace}}",
    "{{__import__('os')}}",
    "{{ .Values }} {% for x in y %}",
    "$(touch /tmp/x)",
    "`id`",
    "; rm -rf /",
    "${jndi:ldap://x}",
    "../../../../etc/passwd",
    "file:///etc/passwd",
    "!!python/object/apply:os.system [id]",
    "&anchor *anchor",
    "<<: *base",
    "---\nkind: Secret",
    "%00",
    "a\x00b",
    "\ud7ff\uffff",
    "\u202egnp.exe",
    "\u200b",
    "İıſK",
    "😀" * 40,
    "a\r\nX-Injected: 1",
    "\x1b[2J\x1b[31m",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "-",
    ".",
    " ",
    "",
    "NaN",
    "Infinity",
    "1e999",
    "0x7fffffff",
    "true",
    "null",
    "~",
    "x" * 300,
    "x" * 70_000,
    "1" * 5_000,
    "modelrollout",
    "kube-system",
    "__class__",
)
NUMBERS: tuple[Any, ...] = (-1, 10**9, 2**31, 2**63, 10**30, -(10**30), 0.1, 1e308, -0.0, True, None)
KEYS = (
    "__proto__",
    "__class__",
    "$ref",
    "x" * 300,
    "a.b/c",
    "😀",
    "",
    "metadata",
    "hostPath",
    "privileged",
    "kubernetes.io/x",
)


def hostile(number: int, trap: str) -> Json:
    """The spec of this number."""
    rng = random.Random(number)
    spec = copy.deepcopy(SOUND)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.choice(list(places(spec)))
        _plant(spec, place, _value(rng, trap), rng)
    return spec


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place below a value, but for what was planted deep."""
    if len(at) > len(SOUND):
        return
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in found:
        yield (*at, key)
        yield from places(child, (*at, key))


def _plant(spec: Json, place: Place, value: Any, rng: random.Random) -> None:
    parent: Any = spec
    for key in place[:-1]:
        parent = parent[key]
    last = place[-1]
    if isinstance(parent, list):
        parent[int(last)] = value
        if rng.random() < 0.2:
            parent += [value] * rng.choice((1, 40))
    elif rng.random() < 0.25:
        parent[rng.choice(KEYS)] = value
    else:
        parent[last] = value


def _value(rng: random.Random, trap: str) -> Any:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(
            (*WORDS, trap, trap.removeprefix("http://"), f'x"}} or label_replace(up,"a","{trap}","","") #')
        )
    if kind < 0.65:
        return rng.choice(NUMBERS)
    if kind < 0.8:
        return nested(rng.choice((10, 70, 900, 4_000)), rng.choice((list, dict)))
    if kind < 0.9:
        return [rng.choice(WORDS) for _ in range(rng.choice((1, 5, 200)))]
    return {rng.choice(KEYS): rng.choice(WORDS), "image": trap, "hostNetwork": True, "command": ["sh", "-c", "id"]}


def nested(depth: int, kind: type) -> Any:
    """Maps in maps, or lists in lists."""
    value: Any = "x"
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


ACTIONS = ("Approve", "Pause", "Resume", "Abort", "Retry", "Promote", "Undo")
TARGETS = ("fraud", "fraud", "nobody", "../fraud", "other/fraud", "fraud.other", "kube-system", "FRAUD", "")


def hostile_command(number: int, revision: str) -> Json:
    """A RolloutCommand's spec that must do nothing: it is never meant for `revision`, whatever else is wrong with it."""
    rng = random.Random(f"command {number}")
    wrong = (
        *(word for word in WORDS if word != revision),
        revision.upper(),
        f"{revision} ",
        f"{revision}-1",
        f"x{revision}",
    )
    spec: Json = {
        "target": rng.choice(TARGETS),
        "action": rng.choice(ACTIONS),
        "revision": rng.choice(wrong),
        "step": rng.choice(("tenth", "half", *WORDS)),
        "by": rng.choice(("alice", *WORDS)),
        "reason": rng.choice(WORDS),
    }
    for _ in range(rng.choice((0, 0, 1, 2))):
        spec[rng.choice((*spec, *KEYS))] = rng.choice((*WORDS, *NUMBERS, nested(rng.choice((5, 900)), list)))
    if spec.get("revision") == revision:
        spec["revision"] = "another"
    return spec
