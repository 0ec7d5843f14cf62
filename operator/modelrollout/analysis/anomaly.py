"""How unusual a gauge's number is among stable's own recent ones, by median and median absolute deviation.

Both ignore up to half of outlying points, so that an incident in the recent past neither hides a new one nor makes it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from statistics import fmean, median

FEWEST_POINTS = 10
_OF_MEDIAN = 1.4826
"""Standard deviations in one median absolute deviation of normal numbers (Rousseeuw & Croux 1993)."""
_OF_MEAN = 1.2533
"""The same for the mean absolute deviation, which speaks where more than half of the points are equal."""


def score(value: float, recent: Sequence[float]) -> float | None:
    """Distance of `value` from the median of `recent` in robust standard deviations, signed: above is positive.

    None with fewer than ten finite points, or where `value` is not finite; infinite where all points are equal and it is not.
    """
    points = [point for point in recent if isfinite(point)]
    if len(points) < FEWEST_POINTS or not isfinite(value):
        return None
    middle = median(points)
    if value == middle:
        return 0.0
    distances = [abs(point - middle) for point in points]
    spread = _OF_MEDIAN * median(distances) or _OF_MEAN * fmean(distances)
    return (value - middle) / spread if spread else (inf if value > middle else -inf)
