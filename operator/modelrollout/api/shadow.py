"""`shadow` of a step: which requests are copied to the candidate, and how its answers are held against stable's.

Users never see the answer to a copy. But the copy itself is real: the candidate, and where answers are compared stable once more,
does whatever the request asks for. So methods that change state by definition are never copied unless they are named, and nothing is
sent to stable a second time that nobody has named.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Enum, Model, Whole, canonical_json, rule, validations
from .scalars import FACTOR_PATTERN, Factor, Weight

MATCHES_LIMIT = 5
"""An HTTPRoute has room for 128 matches: each of these, for three methods at most, in the rule of each version."""
IGNORED_LIMIT = 20
PATH_PATTERN = r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/]*$"
_NAME, _INDEX = r"[A-Za-z_][-A-Za-z0-9_]*", r"\[([0-9]{1,4}|\*)\]"
JSON_PATH = rf"^({_NAME}|{_INDEX})(\.{_NAME}|{_INDEX})*$"
_ZEROS = ["0", "00", "0.0", "00.0", "0.00", "00.00"]
_NOTHING = [f"{zero}{sign}" for zero in _ZEROS for sign in ("", "%")]
_SOME = f"type(self.percent) == int ? self.percent > 0 : !(self.percent in {_NOTHING})"
_SOME_TEXT = "percent must be above 0; to mirror nothing, leave out shadow"
_NAMED = "!has(self.compare) || has(self.match)"
_NAMED_TEXT = (
    "compare sends the mirrored requests to stable a second time: name those that may be repeated, "
    "such as match: [{method: POST, path: /predict}]"
)

JsonPath = Annotated[str, Field(pattern=JSON_PATH, max_length=200)]


class Method(Enum):
    """An HTTP method."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


HARMLESS = (Method.GET, Method.HEAD, Method.POST)
"""What is mirrored where nothing is named. POST is among them because model servers are asked for predictions by it."""


class ShadowMatch(
    Model, json_schema_extra=validations(rule("has(self.method) || has(self.path)", "name method or path"))
):
    """Requests of one kind."""

    method: Method | None = None
    """Its HTTP method. Default: GET, HEAD and POST."""
    path: Annotated[str, Field(pattern=PATH_PATTERN, max_length=256)] | None = None
    """Begin of its path as the client sends it. Default: the gateway's pathPrefix."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.method is None and self.path is None:
            raise ValueError("name method or path")
        return self


class ComparisonMethod(Enum):
    """When two answers agree."""

    EXACT = "Exact"
    """They are the same JSON value."""
    TOLERANCE = "Tolerance"
    """Numbers, each at most `tolerance` apart."""
    LABEL = "Label"
    """The same class: of a text or number itself, of scores the one with the highest."""
    TOP_K = "TopK"
    """The same first `k` classes, in any order."""


class Tolerance(Factor):
    """How far two numbers may lie apart: ``"0.01"``, or in percent of stable's ``"1%"``."""

    __slots__ = ()
    pattern = FACTOR_PATTERN.removesuffix("$") + "%?$"
    example = '"0.01" or "1%"'


_FITS = {
    "Tolerance": ("tolerance", 'method Tolerance needs tolerance, such as "0.01"'),
    "TopK": ("k", "method TopK needs k, such as 5"),
}
_RULES = [rule(f"self.method != '{method}' || has(self.{name})", text) for method, (name, text) in _FITS.items()] + [
    rule(f"!has(self.{name}) || self.method == '{method}'", f"{name} belongs to method {method}")
    for method, (name, _) in _FITS.items()
]


class Comparison(Model, json_schema_extra=validations(*_RULES)):
    """How the candidate's answer is held against stable's answer to the same request."""

    method: ComparisonMethod
    """Exact, Tolerance, Label or TopK."""
    path: JsonPath | None = None
    """Where in the JSON answer the prediction stands: names with dots between them, `[0]` for an element, `[*]` for all of them, such as `predictions[*].score`. Default: the whole answer."""
    tolerance: Tolerance | None = None
    """Tolerance: how far two numbers may lie apart, or in percent of stable's: `"0.01"`, `"1%"`."""
    k: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """TopK: how many of the first classes must be the same."""
    ignore: Annotated[list[JsonPath], Field(max_length=IGNORED_LIMIT)] | None = None
    """Paths below the prediction that do not count, such as times and request ids."""

    @property
    def text(self) -> str:
        """As written, as canonical JSON: equal texts, the same comparison."""
        return canonical_json(self.written())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for method, (name, text) in _FITS.items():
            if self.method == method and getattr(self, name) is None:
                raise ValueError(text)
            if self.method != method and getattr(self, name) is not None:
                raise ValueError(f"{name} belongs to method {method}")
        return self


class Shadow(Model, json_schema_extra=validations(rule(_SOME, _SOME_TEXT), rule(_NAMED, _NAMED_TEXT))):
    """A share of requests is copied to the candidate; users get stable's answers, and the candidate's are thrown away."""

    percent: Weight
    """Share of the matching requests that is copied, above 0: an integer, or a string of at most two decimals."""
    match: Annotated[list[ShadowMatch], Field(max_length=MATCHES_LIMIT, min_length=1)] | None = None
    """Only requests that fit one of these. Default: all with method GET, HEAD or POST."""
    compare: Comparison | None = None
    """Hold the answers against stable's. Each copied request is then sent to stable once more; needs `match`."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.percent:
            raise ValueError(_SOME_TEXT)
        if self.compare is not None and self.match is None:
            raise ValueError(_NAMED_TEXT)
        return self


def kinds(shadow: Shadow, prefix: str) -> list[tuple[Method, str]]:
    """Methods and paths (`prefix` where none is named) of the requests that are copied, each once."""
    found = [(method, prefix) for method in HARMLESS] if shadow.match is None else []
    for one in shadow.match or ():
        methods = HARMLESS if one.method is None else (one.method,)
        found += [(method, one.path or prefix) for method in methods]
    return list(dict.fromkeys(found))


def below(prefix: str, path: str) -> bool:
    """Whether a path lies below a prefix, element by element."""
    whole = prefix.rstrip("/")
    return re.match(re.escape(whole) + r"(/|$)", path) is not None
