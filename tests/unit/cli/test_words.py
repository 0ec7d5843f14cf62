import pytest

from modelrollout.api.scalars import Timestamp
from modelrollout.cli.words import age, count, moment, spaced, span

DAY = 86_400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (41 * 60, "41m"),
        (3 * 3600 + 20 * 60, "3h20m"),
        (9 * 3600 + 59, "9h"),
        (3 * DAY + 7200, "3d2h"),
        (9 * DAY, "9d"),
        (800 * DAY, "2y70d"),
        (9 * 365 * DAY, "9y"),
        (-5, "0s"),
    ],
)
def test_an_age_reads_as_in_kubectl(seconds, text):
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (41.2, "41 s"), (150, "2m30s"), (1081.5, "18m"), (5400, "1h30m"), (2 * DAY, "2d"), (90_000, "1d1h")],
)
def test_a_length_of_time_is_rounded_as_people_do(seconds, text):
    assert span(seconds) == text


def test_a_time_names_the_day_only_when_it_is_another_one():
    now = Timestamp.parse("2026-07-26T14:20:00Z")
    assert moment(Timestamp.parse("2026-07-26T00:00:00Z"), now) == "00:00Z"
    assert moment(Timestamp.parse("2026-07-27T09:05:00Z"), now) == "27 Jul 09:05Z"
    assert moment(Timestamp.parse("2025-12-31T23:59:00Z"), now) == "31 Dec 2025 23:59Z"


def test_percent_signs_stand_apart_and_counts_have_separators():
    assert spaced("0.42% against 5 %") == "0.42 % against 5 %"
    assert count(1, "request") == "1 request"
    assert count(1834, "request") == "1,834 requests"
