"""Durations on the command line: the words of the resources (`90s`, `30m`, `1h30m`, `2d`)."""

from __future__ import annotations

from modelrollout.api.scalars import Duration

from .failures import ExitCode, Failure


def seconds(option: str, text: str) -> float:
    """The length in seconds. Raises Failure, naming the option, for what is no duration."""
    try:
        return Duration.parse(text).seconds
    except ValueError:
        raise Failure(f"{option} {text}: write a duration such as 90s, 30m, 1h30m or 2d", ExitCode.USAGE) from None
