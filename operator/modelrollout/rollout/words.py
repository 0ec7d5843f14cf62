"""The sentences of status: what is, why, what comes next at what time.

Times are absolute, so that a message does not change while nothing happens.
"""

from __future__ import annotations

from modelrollout.api.scalars import Timestamp, Weight


def percent(weight: int) -> str:
    """A weight for people: ``25 %``."""
    return f"{Weight(weight).percent} %"


def carries(weight: int, mirror: int) -> str:
    """What a candidate has of the traffic, for people: ``25 %``, or ``0 % (10 % mirrored)``."""
    return f"{percent(weight)} ({percent(mirror)} mirrored)" if mirror else percent(weight)


def at(moment: float) -> str:
    """The time of day, to the minute where seconds would only flicker: ``14:05Z``."""
    return f"{Timestamp(moment).clock[:5]}Z"


def exactly(moment: float) -> str:
    """The time of day to the second: ``14:05:07Z``."""
    return Timestamp(moment).clock


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``1h30m``, ``45s``."""
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"


def cut(text: str, limit: int = 1000) -> str:
    """The text, shortened with an ellipsis where it is too long."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
