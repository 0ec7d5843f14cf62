"""What the operator hands to a comparer: two addresses, how to compare, and how much to bear."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .agreement import Comparison

VARIABLE = "COMPARER_CONFIGURATION"


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two versions: its revision and the address of its Service."""

    revision: str
    url: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is borne at a time. Sizes in bytes, times in seconds."""

    waiting: int = 256
    """Requests in the queue; more are dropped."""
    concurrency: int = 16
    """Requests that are worked off side by side: so many more than usual reach stable at a time."""
    largest: int = 1 << 20
    """Of a request's body, or of an answer."""
    timeout: float = 30.0
    """For an answer."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a comparer knows."""

    candidate: Version
    stable: Version
    comparison: Comparison
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """From the text that `workload.comparer` writes. Raises ValueError and KeyError."""
        read = json.loads(text)
        versions = [Version(read[role]["revision"], read[role]["url"]) for role in ("candidate", "stable")]
        return cls(versions[0], versions[1], Comparison.of(read["compare"]))
