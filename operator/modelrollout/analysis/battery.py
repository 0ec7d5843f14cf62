"""The tests of one metric as they stand: what carries over from window to window and through status.

A metric that is compared with stable has one test of being worse and one certificate for each histogram bound it is judged at, which
is one for everything but a latency without a threshold. The evidence over several bounds is their mean, which is a supermartingale
again; the certificate over several is the smallest, since a candidate must be slow at none of them. A `limit` adds the same test
of the candidate and of stable, to tell whose fault it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from .certificate import BETTER, Certificate
from .evidence import RATES, Evidence
from .logspace import NOTHING, log_mean
from .state import Part, decode, encode

ONLY = ("",)
"""The bounds of a metric that has none to choose from."""
_BETWEEN, _END = ",", ";"
_HALVINGS = 20
"""Of a span of time: to a millionth of it."""


@dataclass(frozen=True, slots=True)
class Battery:
    """`worse` and `certificates` by bound; `worse` is empty for a metric with a `limit` alone, which has a certificate all the same."""

    bounds: tuple[str, ...] = ()
    worse: tuple[Evidence, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    limit: Evidence | None = None
    stable_limit: Evidence | None = None

    @classmethod
    def opened(cls, bounds: Sequence[str], *, alternatives: int) -> Battery:
        """Nothing known yet; `alternatives` is 0 for a metric that is not compared."""
        worse = tuple(Evidence.begin(alternatives) for _ in bounds) if alternatives else ()
        return cls(tuple(bounds), worse, tuple(Certificate.begin() for _ in bounds))

    def fits(self, alternatives: int) -> bool:
        """Whether the tests are of so many alternatives (0: not compared), and so can be gone on with."""
        counts = {len(evidence.stakes) for evidence in self.worse}
        halves = {len(half) for certificate in self.certificates for half in (certificate.ratio, certificate.absolute)}
        limits = {len(evidence.stakes) for evidence in (self.limit, self.stable_limit) if evidence is not None}
        return counts <= {alternatives} and halves <= {len(BETTER)} and limits <= {len(RATES)}

    @property
    def begun(self) -> bool:
        """Whether there is anything to record. Where the comparison rests from the start there is a limit alone."""
        return bool(self.bounds) or self.limit is not None

    @property
    def log_worse(self) -> float:
        """Ln of the evidence that the candidate is worse than stable; that of 1 before any window."""
        return log_mean([evidence.log_value for evidence in self.worse]) if self.worse else 0.0

    @property
    def log_certificate(self) -> float:
        """Ln of the evidence that the candidate is not much worse, at the bound where there is least."""
        return min((certificate.log_value for certificate in self.certificates), default=NOTHING)

    def with_limit(self, limit: Evidence, stable: Evidence) -> Battery:
        """The battery with the tests against the limit one window later."""
        return replace(self, limit=limit, stable_limit=stable)

    def encode(self) -> str:
        """One short text for status."""
        parts: list[Part] = []
        for index, certificate in enumerate(self.certificates):
            parts += [self.worse[index], certificate] if self.worse else [certificate]
        parts += [self.limit, self.stable_limit] if self.limit and self.stable_limit else []
        return f"{_BETWEEN.join(self.bounds)}{_END}{encode(*parts)}"

    @classmethod
    def decode(cls, text: str) -> Battery | None:
        """What was encoded; None for anything else: then evidence starts afresh, which is always sound."""
        names, _, body = text.partition(_END)
        try:
            parts = decode(body)
        except ValueError:
            return None
        certificates = tuple(part for part in parts if isinstance(part, Certificate))
        bounds = tuple(names.split(_BETWEEN)) if certificates else ()
        tests = [part for part in parts if isinstance(part, Evidence)]
        worse = tuple(tests[: len(bounds)]) if parts and isinstance(parts[0], Evidence) else ()
        limits = tests[len(worse) :]
        if len(certificates) != len(bounds) or len(worse) not in (0, len(bounds)) or len(limits) not in (0, 2):
            return None
        return cls(bounds, worse, certificates, *limits)


def steps_until(certificate: Certificate, needed: float, growth: Certificate) -> float | None:
    """How many times `growth` has to be added until the certificate's logarithm reaches `needed`; None if it never does.

    The logarithm of a mean of exponentials is convex in that number, so it passes `needed` from below only once.
    """
    held, gains = (*certificate.ratio, *certificate.absolute), (*growth.ratio, *growth.absolute)
    rising = [(have, gain) for have, gain in zip(held, gains, strict=True) if gain > 0.0]
    if certificate.log_value >= needed:
        return 0.0
    if not rising:
        return None
    low, high = 0.0, min((needed + log(len(held)) - have) / gain for have, gain in rising)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        there = log_mean([have + middle * gain for have, gain in zip(held, gains, strict=True)])
        low, high = (low, middle) if there >= needed else (middle, high)
    return high
