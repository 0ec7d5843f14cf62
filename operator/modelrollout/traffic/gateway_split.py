"""How an A/B test on a Gateway API route has requests meet a version otherwise than by chance.

**Sticky**, the way that every data plane carries out: a response of the weighted rule sets a cookie that names its arm, and rules before
it lead each cookie to its arm. So weights steer new users only, and raising a share moves nobody who was assigned before. The arms of a
`Split` are those that have a share: the write that takes a share away takes the rule of its cookie away too, and its users are
assigned anew. A cookie holds a token of the test, so that one of an earlier test binds nobody.

**Flag**: a header names the arm. Then chance decides nothing, all else goes to the control, and the weight of each of these rules is kept
in its only backendRef, where it has no effect on traffic and tells an observer which share is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .base import Split

Json = Mapping[str, Any]
COOKIE_HEADER = "Cookie"


@dataclass(frozen=True, slots=True)
class Assigned:
    """Requests with this header go to this revision. `weight`: of the backendRef."""

    header: dict[str, str]
    revision: str
    weight: int


def assigned(split: Split | None, weights: Mapping[str, int]) -> list[Assigned]:
    """The rules by header or cookie, in an order of their own."""
    if split is None:
        return []
    arms = sorted(split.arms.items(), key=lambda arm: arm[1])
    if split.header:
        return [
            Assigned({"type": "Exact", "name": split.header, "value": name}, revision, weights[revision])
            for revision, name in arms
        ]
    return [Assigned(_cookie_match(split, name), revision, 1) for revision, name in arms]


def by_chance(split: Split | None, weights: Mapping[str, int]) -> dict[str, int]:
    """The weights of the weighted rule: as recorded, and with a flag all that has none to the control."""
    if split is None or not split.header:
        return dict(weights)
    return {revision: 0 if revision in split.arms else weight for revision, weight in weights.items()}


def set_cookie(split: Split | None, revision: str, path: str) -> str:
    """What a response of the weighted rule sets, for the users of one arm; empty where nobody is to stay."""
    if split is None or not split.cookie or revision not in split.arms:
        return ""
    value = f"{split.token}.{split.arms[revision]}"
    return f"{split.cookie}={value}; Path={path}; Max-Age={split.seconds}; HttpOnly; SameSite=Lax"


def shares_in_flags(headers: Iterable[Json], tester_header: str) -> bool:
    """Whether a rule with these headers is one of a flag, whose backendRef holds a recorded share."""
    names = {str(header.get("name", "")).lower() for header in headers}
    return bool(names) and not names & {COOKIE_HEADER.lower(), tester_header.lower()}


def _cookie_match(split: Split, name: str) -> dict[str, str]:
    """One cookie among others. Anchored, because some data planes match the whole value and some look for a part of it."""
    value = re.escape(f"{split.token}.{name}")
    return {
        "type": "RegularExpression",
        "name": COOKIE_HEADER,
        "value": f"^(.*; ?)?{re.escape(split.cookie)}={value}(;.*)?$",
    }
