"""What the fields of all routers have in common, and the rule that a spec names one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from .base import rule

Hostname = Annotated[
    str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
PATH_PATTERN = r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/]*$"
PathPrefix = Annotated[str, Field(pattern=PATH_PATTERN, max_length=1024)]

ROUTERS = {"gateway": "Gateway", "service": "Service", "traefik": "Traefik", "istio": "Istio", "nginx": "Nginx"}
"""What each router is called, by its field of `spec.traffic`."""


def found_too_many(fields: Iterable[str]) -> str:
    """What is said of a spec that names several routers."""
    return f"name exactly one router, found {' and '.join(fields)}"


def one_router() -> dict[str, str]:
    """The same as a rule of the CRD; texts of known length keep its cost low."""
    named = [f"has(self.{field})" for field in ROUTERS]
    parts = [f"'{found_too_many(())}'"]
    for index, field in enumerate(ROUTERS):
        text = f"({' || '.join(named[:index])} ? 'and {field} ' : '{field} ')" if index else f"'{field} '"
        parts.append(f"({named[index]} ? {text} : '')")
    count = " + ".join(f"({one} ? 1 : 0)" for one in named)
    text = f"({' + '.join(parts)}).trim()"
    return rule(f"{count} <= 1", "name exactly one router", message_expression=text)
