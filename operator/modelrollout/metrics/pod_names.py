"""Which Deployment a pod belongs to, told by the pod's name.

A pod is called `<Deployment>-<hash of the ReplicaSet>-<five random characters>`. Kubernetes cuts what stands before the random part
to 58 characters (`generateName`), so that of long names the hash, and the last dash, go missing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from . import promql

_BEFORE_RANDOM: Final = 58
_CUT: Final = _BEFORE_RANDOM + 5
"""Length of the names that may have been cut."""
_LONG: Final = _BEFORE_RANDOM - len("-") - 10 - len("-")
"""Names of Deployments up to this are followed by a whole hash, which has at most ten characters."""
_WHOLE: Final = "-[^-]+-[^-]+"
_PERHAPS_CUT: Final = "-[^-]+(-[^-]+)?"


def expression(deployments: Collection[str]) -> str:
    """A regular expression (RE2) for the pods of these Deployments. `owners` tells them from others of like names."""
    suffix = _PERHAPS_CUT if any(len(name) > _LONG for name in deployments) else _WHOLE
    names = promql.any_of(deployments)
    return f"({names}){suffix}" if len(deployments) > 1 else f"{names}{suffix}"


def owners(pod: str) -> tuple[str, ...]:
    """The names that the pod's Deployment may have: one, or for a name that may have been cut the likelier one first."""
    whole = pod.rsplit("-", 2)[0]
    if len(pod) == _CUT and (cut := pod[:_BEFORE_RANDOM].rsplit("-", 1)[0]) != whole:
        return (cut, whole)
    return (whole,)
