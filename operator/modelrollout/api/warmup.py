"""`spec.rollout.warmUp`: golden requests, and what a sound model answers to them.

They are sent to each pod of a candidate before that pod counts for a weight, whatever the strategy and the step: a pod is warm or
not, a step is not. How an answer is compared is `warmup/answers.py`.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from .base import Enum, Model, Whole, rule, unique, validations
from .scalars import Duration, Factor, LatencyBound

REQUESTS_LIMIT = 20
BODY_LIMIT = 65_536
"""Characters of a body."""
EXPECTED_LIMIT = 16_384
"""Characters of an expected value as JSON."""
LONGEST_TIMEOUT = 300.0
JSON_PATH_PATTERN = r"^\$?(\.?[A-Za-z_][-A-Za-z0-9_]*|\[[0-9]{1,6}\])(\.[A-Za-z_][-A-Za-z0-9_]*|\[[0-9]{1,6}\])*$|^\$$"
REQUEST_PATH_PATTERN = r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/?]*$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OF_THE_CONNECTION = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})
_HEADER_VALUE = r"^[\x20-\x7e\t]*$"

_OBJECT = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_ANY = {"x-kubernetes-preserve-unknown-fields": True}
_LIST_MAP = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Method(Enum):
    """HTTP methods of a golden request."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"


class JsonExpectation(Model):
    """What stands at one place of a JSON answer."""

    path: Annotated[str, Field(pattern=JSON_PATH_PATTERN, max_length=256)]
    """Where: `$.predictions[0].label`, or without the `$.`; `$` is the whole answer."""
    equals: Annotated[Any, Field(json_schema_extra=_ANY)] = None
    """The value, of any type. Absent: something must be there."""
    tolerance: Factor | None = None
    """By how much numbers in it may differ, such as "0.01". Default 0."""

    @model_validator(mode="after")
    def _small(self) -> Self:
        if len(json.dumps(self.equals)) > EXPECTED_LIMIT:
            raise ValueError(f"equals has more than {EXPECTED_LIMIT} characters as JSON")
        return self


_ONE_FORM = "!(has(self.body) && has(self.json))"
_ONE_FORM_TEXT = "name either body or json, not both"


class Expectation(Model, json_schema_extra=validations(rule(_ONE_FORM, _ONE_FORM_TEXT))):
    """What a sound model answers."""

    status: Annotated[Whole, Field(ge=100, le=599)] | None = None
    """HTTP status. Default 200."""
    json_: Annotated[list[JsonExpectation] | None, Field(alias="json", max_length=20, min_length=1)] = None
    """Values at places of a JSON answer; all must fit."""
    body: Annotated[str, Field(max_length=EXPECTED_LIMIT)] | None = None
    """The whole answer as text; white space at its ends is left out of account."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.json_ is not None and self.body is not None:
            raise ValueError(_ONE_FORM_TEXT)
        return self


class GoldenRequest(Model, json_schema_extra=validations(rule(_ONE_FORM, _ONE_FORM_TEXT))):
    """One request whose answer is known. It may be sent again at any time: name none that changes something."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32)]
    """Unique name, for messages."""
    method: Method | None = None
    """Default: POST with a body, else GET."""
    path: Annotated[str, Field(pattern=REQUEST_PATH_PATTERN, max_length=1024)]
    """Path and query, such as /predict."""
    headers: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=1024, pattern=_HEADER_VALUE)]],
            Field(max_length=20),
        ]
        | None
    ) = None
    """Headers. They are read by whoever may read the resource: put no secret here."""
    json_: Annotated[dict[str, Any] | None, Field(alias="json", json_schema_extra=_OBJECT)] = None
    """A JSON object to send, with Content-Type application/json."""
    body: Annotated[str, Field(max_length=BODY_LIMIT)] | None = None
    """A text to send; name its Content-Type in `headers`."""
    expect: Expectation | None = None
    """What a sound model answers. Default: status 200."""

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        if self.json_ is not None and self.body is not None:
            raise ValueError(_ONE_FORM_TEXT)
        if self.method is Method.GET and (self.json_ is not None or self.body is not None):
            raise ValueError("a GET has no body; leave out method, or name POST")
        if len(json.dumps(self.json_)) > BODY_LIMIT:
            raise ValueError(f"json has more than {BODY_LIMIT} characters")
        for name in self.headers or ():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name[:40]!r} is no name of a header")
            if name.lower() in _OF_THE_CONNECTION:
                raise ValueError(f"header {name} belongs to the connection and cannot be set")
        return self

    @property
    def verb(self) -> str:
        """The method, with its default filled in."""
        written = self.json_ is not None or self.body is not None
        return str(self.method or (Method.POST if written else Method.GET))


_TRIES = "!has(self.tries) || has(self.latency)"
_TRIES_TEXT = "tries are for latency; name it too"


class WarmUp(Model, json_schema_extra=validations(rule(_TRIES, _TRIES_TEXT))):
    """Golden requests to each pod of a candidate, before it counts for a weight."""

    requests: Annotated[
        list[GoldenRequest], Field(max_length=REQUESTS_LIMIT, min_length=1, json_schema_extra=_LIST_MAP)
    ]
    """Sent one after the other, in this order."""
    repeats: Annotated[Whole, Field(ge=1, le=100)] | None = None
    """How often each is sent to a pod, so that caches fill; each answer must be right. Default 1."""
    latency: LatencyBound | None = None
    """Within this time the last of the repeats must be answered. Default: not asked."""
    tries: Annotated[Whole, Field(ge=1, le=100)] | None = None
    """How often the last of the repeats is sent at most, until an answer comes within `latency`. Default 3."""
    timeout: Duration | None = None
    """For one answer; at most 5m. A pod that gives none is asked again until rollout.loadDeadline. Default 10s."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        unique((request.name for request in self.requests), "names of requests")
        if not 0 < self.answer_within <= LONGEST_TIMEOUT:
            raise ValueError(f"timeout {self.timeout} is not between 1s and 5m")
        if self.latency is not None and not 0 < self.latency.seconds <= self.answer_within:
            raise ValueError(f"latency {self.latency} is not between 1ms and the timeout of {self.answer_within:g}s")
        if self.tries is not None and self.latency is None:
            raise ValueError(_TRIES_TEXT)
        return self

    @property
    def answer_within(self) -> float:
        """Seconds."""
        return self.timeout.seconds if self.timeout is not None else 10.0
