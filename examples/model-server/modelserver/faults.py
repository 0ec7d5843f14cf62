"""Faults that an environment variable can put into the server, for tests and demonstrations.

A rollout is only worth trusting when it was seen to catch a bad version, so this server can be one: it can answer
errors, be slow, load slowly, fail to load, or end in mid-flight. With none of the variables set nothing here does
anything. Faults touch `/predict` and the load alone: probes and `/metrics` stay honest.

| variable              | value                        | effect                                                     |
|-----------------------|------------------------------|------------------------------------------------------------|
| `FAULT_ERROR_SHARE`   | 0 to 1                       | that share of predictions is answered with 500             |
| `FAULT_LATENCY`       | seconds                      | added to predictions                                       |
| `FAULT_LATENCY_SHARE` | 0 to 1, default 1            | share of predictions that gets the added latency           |
| `FAULT_LOAD_SECONDS`  | seconds                      | the load takes that much longer                            |
| `FAULT_LOAD`          | `crash`                      | the load fails as if the model's file were missing         |
| `FAULT_CRASH_AFTER`   | `500` (requests) or `30s`    | the process ends with 1 when that is used up               |
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass


class SettingError(ValueError):
    """An environment variable has a value that cannot be used; the message names it, the value and what is right."""


class InjectedError(RuntimeError):
    """The 500 that `FAULT_ERROR_SHARE` asked for."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What was asked for. Shares are 0 to 1, times are seconds; `crash_after_*` None means never."""

    error_share: float = 0.0
    latency: float = 0.0
    latency_share: float = 1.0
    load_seconds: float = 0.0
    load_crash: bool = False
    crash_after_requests: int | None = None
    crash_after_seconds: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Faults":
        """Read the variables; empty counts as absent, so that a template may always set them. Raises SettingError."""
        requests, seconds = _crash_after(environment)
        return cls(
            error_share=_share(environment, "FAULT_ERROR_SHARE", 0.0),
            latency=_seconds(environment, "FAULT_LATENCY"),
            latency_share=_share(environment, "FAULT_LATENCY_SHARE", 1.0),
            load_seconds=_seconds(environment, "FAULT_LOAD_SECONDS"),
            load_crash=_load_crash(environment),
            crash_after_requests=requests,
            crash_after_seconds=seconds,
        )


class FaultInjector:
    """Applies the per-request faults. One instance per process; it draws from its own generator."""

    def __init__(self, faults: Faults, generator: random.Random | None = None) -> None:
        self._faults = faults
        self._random = generator or random.Random()  # noqa: S311 - decides who is hit by a test fault
        self._seen = 0

    def uses_up(self) -> bool:
        """Count one prediction; true when it is the first beyond `crash_after_requests`."""
        self._seen += 1
        limit = self._faults.crash_after_requests
        return limit is not None and self._seen > limit

    async def delay_or_fail(self) -> None:
        """Wait and raise as asked. Both draws are made each time, so that a seed gives the same run for any latency."""
        slow = self._random.random() < self._faults.latency_share
        broken = self._random.random() < self._faults.error_share
        if slow and self._faults.latency:
            await asyncio.sleep(self._faults.latency)
        if broken:
            raise InjectedError(f"FAULT_ERROR_SHARE={self._faults.error_share:g} chose this request")


def _number(environment: Mapping[str, str], name: str, default: float, what: str) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"{name}={text!r}: expected {what}") from None


def _share(environment: Mapping[str, str], name: str, default: float) -> float:
    what = "a share from 0 to 1"
    value = _number(environment, name, default, what)
    if not 0 <= value <= 1:
        raise SettingError(f"{name}={environment[name]!r}: expected {what}")
    return value


def _seconds(environment: Mapping[str, str], name: str) -> float:
    what = "seconds from 0 to 86400"
    value = _number(environment, name, 0.0, what)
    if not 0 <= value <= 86_400:  # noqa: PLR2004 - a day, as the message says
        raise SettingError(f"{name}={environment[name]!r}: expected {what}")
    return value


def _load_crash(environment: Mapping[str, str]) -> bool:
    text = environment.get("FAULT_LOAD", "")
    if text not in {"", "crash"}:
        raise SettingError(f"FAULT_LOAD={text!r}: expected 'crash' or nothing")
    return text == "crash"


def _crash_after(environment: Mapping[str, str]) -> tuple[int | None, float | None]:
    text = environment.get("FAULT_CRASH_AFTER", "")
    if not text:
        return None, None
    number = text.removesuffix("s")
    if not number.isascii() or not number.isdecimal():
        raise SettingError(f"FAULT_CRASH_AFTER={text!r}: expected requests such as '500' or seconds such as '30s'")
    return (None, float(number)) if text.endswith("s") else (int(number), None)
