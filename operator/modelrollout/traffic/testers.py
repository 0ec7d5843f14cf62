"""How testers reach a revision at any weight: a request header whose value an outsider cannot know.

Its value is a token made from the resource's uid and, after a hyphen, a revision, or `candidate` for whatever the candidate is.
"""

from __future__ import annotations

import hashlib

from modelrollout.workload.identity import Owner

from .base import RouteIntent

TESTER_HEADER = "x-modelrollout-version"
REVISION_HEADER = "x-model-revision"
"""Response header that names the revision that answered."""
CANDIDATE = "candidate"
"""Stands for the revision of the candidate in the tester header; no revision is called so, for each ends with its hash."""
_TOKEN_DIGITS = 12


def tester_header(owner: Owner) -> str:
    """`<name>: <token>`; with `-<revision>` or `-candidate` after it a request reaches that revision at any weight."""
    return f"{TESTER_HEADER}: {tester_token(owner)}"


def tester_token(owner: Owner) -> str:
    """The part of the header that an outsider cannot know: 12 hex digits made from the resource's uid."""
    return hashlib.sha256(f"tester:{owner.uid}".encode()).hexdigest()[:_TOKEN_DIGITS]


def led_to(intent: RouteIntent) -> list[tuple[str, str]]:
    """What testers may name and where it leads: each live revision, then the candidate.

    Without a candidate that word leads to stable, which is where a promotion has it lead anyway, so that promoting changes
    nothing in a route.
    """
    revisions = sorted(intent.weights)
    tried = intent.candidate or max(revisions, key=lambda revision: intent.weights[revision])
    return [*((revision, revision) for revision in revisions), (CANDIDATE, tried)]
