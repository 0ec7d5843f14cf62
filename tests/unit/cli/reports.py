"""Rollouts to report on, and what a Prometheus recorded of one. `python -m tests.unit.cli.reports` draws the golden pictures anew."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

from modelrollout.api.scalars import Timestamp
from modelrollout.cli.deployment import parse
from modelrollout.cli.record import Record, pick, record
from modelrollout.cli.report_html import html
from modelrollout.cli.report_text import text
from tests.fakes.prometheus import Scraper
from tests.fakes.promql import Samples
from tests.fakes.sampling import Pod
from tests.unit.cli import samples

WIDTHS = (60, 80, 120)
GOLDEN = Path(__file__).parent / "golden"
NOW = samples.NOW
ADVERSE = '<script>alert("x")</script> & </style>'

ERRORS = {
    "name": "errors",
    "verdict": "Fail",
    "reason": "ErrorRateWorse",
    "candidate": "3.1%",
    "stable": "0.52%",
    "ratio": "6.00",
    "interval": "2.41–14",
    "evidence": "100 %",
    "certificate": "1 %",
    "requests": 12040,
    "stableRequests": 36120,
    "errors": 118,
    "totalRequests": 15640,
    "totalErrors": 131,
    "designEffect": "1.4 (bursts of 5m)",
}
LATENCY = {
    "name": "latency",
    "verdict": "Continue",
    "candidate": "1.1%",
    "stable": "1.2%",
    "ratio": "0.92",
    "interval": "0.70–1.21",
    "evidence": "1 %",
    "certificate": "63 %",
    "effectiveThreshold": "0.25s",
    "requests": 12040,
    "totalRequests": 15640,
}


def at(clock: str) -> str:
    return f"2026-07-26T{clock}Z"


def weight(clock: str, share: int | str, reason: str, revision: str = "3-b21aa04e") -> dict[str, Any]:
    return {"at": at(clock), "revision": revision, "weight": share, "reason": reason}


def command(uid: str, action: str, by: str, clock: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "name": f"fraud-{uid}",
        "action": action,
        "by": by,
        "outcome": "Accepted",
        "at": at(clock),
    } | more


PROMOTED = {
    "revision": "1-5d8c7b20",
    "version": "1",
    "outcome": "Promoted",
    "startedAt": at("09:00:00"),
    "endedAt": at("11:10:00"),
    "reason": "",
    "message": "Version 1 is stable",
    "against": "0-00000000",
}
ENDED = {
    "revision": "3-b21aa04e",
    "version": "3",
    "outcome": "RolledBack",
    "startedAt": at("13:00:00"),
    "endedAt": at("13:52:31"),
    "reason": "ErrorRateWorse",
    "message": "errors 3.1% against 0.52% on 12,040 requests (certain to about 1 in 300; 1 in 100 was asked)",
    "against": "1-5d8c7b20",
    "metrics": [ERRORS, LATENCY],
}
TIMELINE = [
    weight("09:01:00", 5, "step weight-5", "1-5d8c7b20"),
    weight("10:10:00", 100, "step bake", "1-5d8c7b20"),
    weight("13:01:00", 5, "step weight-5"),
    weight("13:31:15", 25, "step weight-25"),
    weight("13:52:31", 0, "ErrorRateWorse"),
]
COMMANDS = [
    command("u1", "Approve", "alice@example.com", "13:24:00", message="step weight-5 of revision 3-b21aa04e approved"),
    command("u2", "Pause", "bob@example.com", "13:40:00", outcome="Refused", message="the rollout is already paused"),
    command("u3", "Retry", "bob@example.com", "14:11:00", message="revision 3-b21aa04e starts again"),
]
APPROVAL = {
    "apiVersion": "modelrollout.dev/v1alpha1",
    "kind": "RolloutCommand",
    "metadata": {"name": "fraud-u1", "namespace": "ml", "uid": "u1"},
    "spec": {
        "target": "fraud",
        "action": "Approve",
        "revision": "3-b21aa04e",
        "step": "weight-5",
        "by": "alice@example.com",
        "reason": "looked at the confusion matrix",
    },
}


def rolled_back() -> dict[str, Any]:
    found = samples.rolled_back()
    found["status"] |= {"history": [PROMOTED, ENDED], "timeline": TIMELINE, "commands": COMMANDS}
    return found


def under_way() -> dict[str, Any]:
    found = samples.waiting()
    metrics = [ERRORS | {"verdict": "Continue", "reason": None, "evidence": "3 %", "certificate": "41 %"}, LATENCY]
    found["status"] |= {
        "metrics": [{name: value for name, value in one.items() if value is not None} for one in metrics],
        "history": [PROMOTED],
        "timeline": [
            weight("13:11:00", 5, "step weight-5", "2-7c9f4a1b"),
            weight("13:25:00", 25, "step weight-25", "2-7c9f4a1b"),
        ],
        "rollout": samples.ROLLOUT | {"attempt": 1},
    }
    return found


def adverse() -> dict[str, Any]:
    """Texts that would break a page."""
    found = rolled_back()
    entry = ENDED | {"message": ADVERSE, "metrics": [ERRORS | {"message": ADVERSE, "ratio": ADVERSE}]}
    found["status"] |= {
        "history": [entry],
        "commands": [command("u1", "Approve", ADVERSE, "13:24:00", message=ADVERSE)],
    }
    return found


def first_version() -> dict[str, Any]:
    """Nothing to run against, no steps, long ago."""
    entry = {name: value for name, value in PROMOTED.items() if name != "against"}
    found = samples.healthy()
    found["status"] |= {"history": [entry]}
    return found


STATES = {maker.__name__.replace("_", "-"): maker for maker in (rolled_back, under_way, first_version)}


def found(item: dict[str, Any], revision: str | None = None, commands: tuple[Any, ...] = (APPROVAL,)) -> Record:
    deployment = parse(item)
    return record(deployment, pick(deployment, revision), commands)


def picture(width: int) -> str:
    """All states at one width, each under its name."""
    parts = []
    for state, maker in STATES.items():
        parts.append(f"==== {state} ".ljust(width, "="))
        parts += [line.plain for line in text(found(maker()), (), NOW, width)]
    return "\n".join(parts) + "\n"


def page() -> str:
    return html(found(rolled_back()), (), NOW)


@cache
def recorded(seconds: int = 15) -> Samples:
    """What a Prometheus scraped from 12:55 to 13:56: 40 requests a second, 0.5 % errors; version 3 answers 3.1 % from 13:44 on."""
    chance, kept = random.Random(7), Samples()
    scraper = Scraper(kept)
    old = [Pod("ml", f"fraud-1-5d8c7b20-7c9d-pod{number:02d}") for number in range(3)]
    new = [Pod("ml", "fraud-3-b21aa04e-5b6f-pod00")]
    turns = [
        (float(Timestamp.parse(one["at"])), one["weight"] / 100) for one in TIMELINE if one["revision"] == "3-b21aa04e"
    ]
    begin, bad = float(Timestamp.parse(at("12:55:00"))), float(Timestamp.parse(at("13:44:00")))
    for now in range(int(begin), int(begin) + 61 * 60, seconds):
        share = next((share for since, share in reversed(turns) if now >= since), 0.0)
        for pods, part, rate in ((old, 1 - share, 0.005), (new, share, 0.031 if now >= bad else 0.005)):
            for pod in pods:
                requests = round(40 * seconds * part / len(pods))
                errors = sum(chance.random() < rate for _ in range(requests))
                slow = sum(chance.random() < 0.012 for _ in range(requests - errors))
                pod.serve(requests - errors - slow, errors)
                pod.serve(slow, 0, seconds=0.4)
                target = {"namespace": "ml", "pod": pod.name, "instance": f"{pod.name}:8000", "job": "pods"}
                scraper.scrape(float(now), target, pod.exposed())
    return kept


if __name__ == "__main__":
    for width in WIDTHS:
        (GOLDEN / f"report-{width}.txt").write_text(picture(width))
    (GOLDEN / "report.html").write_text(page())
