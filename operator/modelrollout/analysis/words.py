"""Figures and sentences about verdicts, as people read them: percentages, ratios, counts."""

from __future__ import annotations

import math
from decimal import Decimal

from .window import Counts


def rate(counts: Counts) -> float | None:
    """Bad events per request; None without a request."""
    return counts.bad / counts.requests if counts.requests else None


def percent(share: float | None) -> str:
    """A share of 0 to 1 in percent with three significant digits: ``19.8 %``; ``no requests`` for None."""
    if share is None:
        return "no requests"
    text = f"{Decimal(f'{share * 100:.3g}'):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def ratio(candidate: float | None, stable: float | None) -> str | None:
    """Candidate against stable with two decimals, such as ``0.84``; None where it has no meaning."""
    if candidate is None or not stable:
        return None
    return f"{candidate / stable:.2f}"


def of_what_is_needed(value: float) -> str:
    """A part of what is needed: ``100 %`` is only said of what is reached."""
    return f"{math.floor(100 * value)} %" if value < 1 else "100 %"


def number(value: float | None) -> str | None:
    """A gauge's number with four significant digits."""
    return None if value is None else f"{value:.4g}"


def amount(count: int, noun: str) -> str:
    """``1 request``, ``1,834 requests``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """A length of time: ``90s``, ``2m``, ``1h``."""
    whole = round(seconds)
    for size, unit in ((3600, "h"), (60, "m")):
        if whole >= size and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
