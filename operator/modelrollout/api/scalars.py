"""Small values that stand in YAML as text: durations, weights, rates, times.

Kubernetes resources carry no floats, so shares are integers or short strings and times are texts. Each type here parses once,
at the edge, keeps what was written, and offers the number. Arithmetic on weights is done in **basis points** (hundredths of a
percent, 0 to 10,000): exact, and fine enough for the two decimals a weight may have.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from .base import rule

FULL_WEIGHT = 10_000
"""100 % in basis points."""

DURATION_PATTERN = r"^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"
MILLISECONDS_PATTERN = r"^([0-9]{1,6}ms|([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?)$"
PERCENT_PATTERN = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$"
WEIGHT_PATTERN = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%?$"
FACTOR_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,4})?$"
MARGIN_PATTERN = r"^([1-9][0-9]{0,5}(\.[0-9]{1,4})?|0\.[0-9]{0,3}[1-9][0-9]{0,3})$"
ABOVE_ONE_PATTERN = r"^(1\.[0-9]{0,3}[1-9][0-9]{0,3}|([2-9]|[1-9][0-9]{1,5})(\.[0-9]{1,4})?)$"
NUMBER_PATTERN = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(ms|[dhms])")


def _fits(pattern: str, text: str) -> bool:
    """As the API server matches: `$` is the end of the text, not also the place before a last line break."""
    return re.match(pattern, text) is not None and "\n" not in text


def int_or_string(pattern: str, max_length: int, least: int, most: int) -> dict[str, Any]:
    """The schema of a value that is an integer or a text; each bound speaks of the form that it fits."""
    return {
        "x-kubernetes-int-or-string": True,
        "pattern": pattern,
        "maxLength": max_length,
        "minimum": least,
        "maximum": most,
    }


class _Text(str):
    """A string type with a pattern, checked by pydantic and shown in the CRD."""

    __slots__ = ()
    pattern = ""
    max_length = 32
    example = ""

    @classmethod
    def parse(cls, value: object) -> Self:
        text = str(value) if isinstance(value, str) else ""
        if not text or len(text) > cls.max_length or not _fits(cls.pattern, text):
            raise ValueError(f"{value!r} is not of the form {cls.example}")
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # The API server answers a pattern with the bare regular expression; a rule says what would be right.
        form = rule(f"self.matches(r'{cls.pattern}')", f"not of the form {cls.example}")
        return {
            "type": "string",
            "pattern": cls.pattern,
            "maxLength": cls.max_length,
            "minLength": 1,
            "x-kubernetes-validations": [form],
        }


class Duration(_Text):
    """A length of time such as ``90s``, ``1h30m`` or ``2d``; `seconds` is its number."""

    __slots__ = ()
    pattern = DURATION_PATTERN
    example = "90s, 15m or 1h30m"

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(self))

    @classmethod
    def of(cls, seconds: float) -> Self:
        """The shortest text for whole seconds (the rest is cut): 5400 → ``1h30m``."""
        left = int(seconds)
        parts = []
        for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return cls("".join(parts) or "0s")


class Span(Duration):
    """A length of time that was measured: seconds with up to three decimals, such as ``12.5s``."""

    __slots__ = ()
    pattern = r"^[0-9]{1,10}(\.[0-9]{1,3})?s$"
    example = "12.5s"

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return float(self[:-1])

    @classmethod
    def of(cls, seconds: float) -> Self:
        """Rounded to milliseconds: 12.5 → ``12.5s``."""
        text = f"{seconds:.3f}".rstrip("0").rstrip(".")
        return cls(f"{text}s")


class LatencyBound(Duration):
    """A bound of a latency histogram: a duration that may also be given in milliseconds, such as ``250ms``."""

    __slots__ = ()
    pattern = MILLISECONDS_PATTERN
    example = "250ms or 2s"


class Rate(_Text):
    """A share of events written as a percentage, such as ``"0.1%"``; `fraction` is its number."""

    __slots__ = ()
    pattern = PERCENT_PATTERN
    example = '"1%" or "0.25%"'

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
        return float(Decimal(self.rstrip("%")) / 100)


class Factor(_Text):
    """A positive decimal number kept as text, such as ``"1.2"``; an integer may stand without quotes."""

    __slots__ = ()
    pattern = FACTOR_PATTERN
    example = '"1" or "1.25"'
    integers = (0, 999_999)

    @classmethod
    def parse(cls, value: object) -> Self:
        return super().parse(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)

    @property
    def number(self) -> float:
        """The value as a float."""
        return float(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # No rule here: the cost of one on an int-or-string was unbounded before Kubernetes 1.34.
        least, most = cls.integers
        return int_or_string(cls.pattern, cls.max_length, least, most)


class Margin(Factor):
    """How many times stable's rate is allowed: a number above 0."""

    __slots__ = ()
    pattern = MARGIN_PATTERN
    example = '"1" or "1.25", above 0'
    integers = (1, 999_999)


class AboveOne(Factor):
    """How many times stable's rate is bad: a number above 1, since a candidate like stable is not."""

    __slots__ = ()
    pattern = ABOVE_ONE_PATTERN
    example = '"2" or "1.5", above 1'
    integers = (2, 999_999)


class Number(Factor):
    """Any decimal number kept as text, such as ``"-0.5"``."""

    __slots__ = ()
    pattern = NUMBER_PATTERN
    example = '"0.5" or "-12"'
    integers = (-999_999_999_999_999, 999_999_999_999_999)


class Weight(int):
    """A share of traffic: written as an integer percentage or a string of at most two decimals, held in basis points.

    ``Weight(2500)`` is 25 %; in YAML it is ``25``, ``"25"`` or ``"25%"``.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f'{value!r} is not a weight: write an integer such as 5 or a string such as "0.5%"')  # noqa: TRY004  pydantic shows ValueErrors
        text = str(value)
        try:
            percent = Decimal(text.rstrip("%"))
        except InvalidOperation:
            raise ValueError(
                f'{value!r} is not a weight: write an integer such as 5 or a string such as "0.5%"'
            ) from None
        if not 0 <= percent * 100 <= FULL_WEIGHT or not _fits(WEIGHT_PATTERN, text):
            raise ValueError(f"{value!r} is not a weight: it must lie from 0 to 100 and have at most two decimals")
        return cls(int(percent * 100))

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
        return int(self) / FULL_WEIGHT

    def written(self) -> int | str:
        """As it stands in YAML: an integer where that is exact, else a string such as ``"0.5%"``."""
        whole, rest = divmod(int(self), 100)
        return whole if not rest else f"{self.percent}%"

    @property
    def percent(self) -> str:
        """The number for people: ``25``, ``0.5``."""
        return f"{Decimal(int(self)) / 100:f}".rstrip("0").rstrip(".") if int(self) % 100 else str(int(self) // 100)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda weight: weight.written(), when_used="always"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return int_or_string(WEIGHT_PATTERN, 8, 0, 100)


class Timestamp(float):
    """A point in time: seconds since 1970 UTC, in YAML an RFC 3339 text with at most milliseconds."""

    __slots__ = ()

    def __new__(cls, seconds: float) -> Self:
        return super().__new__(cls, round(seconds, 3))

    @classmethod
    def parse(cls, value: object) -> Self:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return cls(value)
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a time")  # noqa: TRY004  pydantic shows ValueErrors
        return cls(datetime.fromisoformat(value).timestamp())

    def __str__(self) -> str:
        """RFC 3339 with a Z."""
        moment = datetime.fromtimestamp(float(self), UTC)
        text = moment.strftime("%Y-%m-%dT%H:%M:%S")
        thousandths = round(float(self) * 1000) % 1000
        return f"{text}.{thousandths:03d}Z" if thousandths else f"{text}Z"

    @property
    def clock(self) -> str:
        """The time of day for messages: ``14:05:07Z``."""
        return datetime.fromtimestamp(float(self), UTC).strftime("%H:%M:%SZ")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "maxLength": 40}
