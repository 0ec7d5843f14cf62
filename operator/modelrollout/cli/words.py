"""How numbers and times read: the same everywhere in the plugin's output.

Times of the day are absolute and in UTC, as in `status.message`, so that two people (and a log) speak of the same moment.
Ages are kubectl's.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

from modelrollout.api.scalars import Duration, Weight

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def percent(weight: Weight) -> str:
    """`25 %`, `0.5 %`."""
    return f"{weight.percent} %"


def spaced(text: str) -> str:
    """`0.42%` as written in a status → `0.42 %` as it is read."""
    return re.sub(r"(?<=\d)%", " %", text)


def moment(seconds: float, now: float) -> str:
    """`14:05Z` today, `26 Jul 14:05Z` on another day, with the year in another year."""
    then, today = datetime.fromtimestamp(seconds, UTC), datetime.fromtimestamp(now, UTC)
    clock = f"{then:%H:%M}Z"
    if then.date() == today.date():
        return clock
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {then:%b}{year} {clock}"


def second(seconds: float) -> str:
    """`2026-07-26 14:05:07Z`, for lists."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


def span(seconds: float) -> str:
    """A length of time as people round it: `41 s`, `2m30s`, `18m`, `1h30m`, `2d`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole >= _DAY:
        days, rest = divmod(whole, _DAY)
        return f"{days}d{rest // _HOUR}h" if rest >= _HOUR else f"{days}d"
    return str(Duration.of(whole if whole < 10 * _MINUTE else whole - whole % _MINUTE))


def share(rate: float) -> str:
    """A share of 0 to 1 in percent with two significant digits: `1.6 %`, `0.05 %`."""
    text = f"{Decimal(f'{rate * 100:.2g}'):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def times(ratio: float) -> str:
    """A multiple, never said smaller than it is: `12x`, `2.4x`."""
    digits = max(0, 1 - math.floor(math.log10(ratio))) if ratio > 0 else 0
    scale = 10.0**digits
    return f"{math.ceil(ratio * scale - 1e-6) / scale:,.{digits}f}".removesuffix(".0") + "x"


_LETTERS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
_AGES = (  # below, unit, finer unit beside it
    (2 * _MINUTE, 1, 0),
    (10 * _MINUTE, _MINUTE, 1),
    (3 * _HOUR, _MINUTE, 0),
    (8 * _HOUR, _HOUR, _MINUTE),
    (2 * _DAY, _HOUR, 0),
    (8 * _DAY, _DAY, _HOUR),
    (2 * _YEAR, _DAY, 0),
    (8 * _YEAR, _YEAR, _DAY),
)


def age(seconds: float) -> str:
    """Kubectl's column AGE: `41s`, `5m12s`, `41m`, `3h20m`, `9d`, `2y`."""
    whole = max(0, int(seconds))
    unit, finer = next(((unit, finer) for below, unit, finer in _AGES if whole < below), (_YEAR, 0))
    number, rest = divmod(whole, unit)
    more = rest // finer if finer else 0
    return f"{number}{_LETTERS[unit]}" + (f"{more}{_LETTERS[finer]}" if more else "")


def count(number: int, what: str) -> str:
    """`1 request`, `1,834 requests`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
