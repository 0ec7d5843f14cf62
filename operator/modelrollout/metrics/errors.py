"""What can go wrong between us and a Prometheus.

The tree::

    MetricsError
    ├── UnavailableError     no answer: refused, reset, name unknown, TLS, 5xx, 429; ask again later
    │   └── HangError        … because time ran out
    ├── AnswerError          an answer that cannot be used: not JSON, cut off, redirect, wrong shape
    │   └── TooLargeError    … because it is larger than we take
    ├── RefusedError         this one query is refused (4xx); others may work
    └── ClockError           the provider's clock and ours differ too much for its answers to be placed in time

All but RefusedError speak of the provider as a whole. None of them is ever news about a model.
"""

from __future__ import annotations


class MetricsError(Exception):
    """The root. `brief` says it in a few words, to stand in brackets."""

    def __init__(self, brief: str) -> None:
        super().__init__(brief)
        self.brief = brief


class UnavailableError(MetricsError):
    """No answer."""


class HangError(UnavailableError):
    """No complete answer in time."""


class AnswerError(MetricsError):
    """An answer that cannot be used."""


class TooLargeError(AnswerError):
    """An answer that is larger than we take."""


class RefusedError(MetricsError):
    """The query is refused."""


class ClockError(MetricsError):
    """Two clocks differ."""
