"""What docs/sizing.md quotes is what is set and what was measured."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from bench.fleet.result import Result
from bench.fleet.shelf import load
from modelrollout.api.labels import LabelSelector
from modelrollout.api.settings import Settings
from modelrollout.operator import Operator, _arguments

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "sizing.md").read_text()
RESOURCES = yaml.safe_load((ROOT / "charts" / "modelrollout" / "values.yaml").read_text())["resources"]
UNITS = {"m": 0.001, "Mi": 1.0, "Gi": 1024.0}
MEASURED = [kept.result for kept in load()]

measured = pytest.mark.parametrize("one", MEASURED, ids=[str(one.rollouts) for one in MEASURED])


def amount(text: str) -> float:
    """Cores or MiB."""
    found = re.fullmatch(r"(\d+)([a-zA-Z]+)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def each(one: Result) -> float:
    """MiB of one rollout under way."""
    return (one.steady.memory - one.idle) / one.rollouts


def test_the_requests_and_limits_are_those_of_the_chart():
    found = re.search(r"asks for (\w+) CPU and (\w+), and limits memory to (\w+), ", PAGE)
    assert found
    assert list(found.groups()) == [
        RESOURCES["requests"]["cpu"],
        RESOURCES["requests"]["memory"],
        RESOURCES["limits"]["memory"],
    ]
    assert "cpu" not in RESOURCES["limits"]


def test_the_settings_have_the_defaults_that_are_told():
    settings = Settings()
    told = re.search(r"`checkpointEvery` \((\d+) min\)", PAGE)
    assert told
    assert settings.checkpoint_every.seconds == 60 * int(told[1])
    told = re.search(r"`leadership.duration` \((\d+) s\)", PAGE)
    assert told
    assert settings.leadership.duration.seconds == int(told[1])
    told = re.search(r"reads the Lease every (\d+) s", PAGE)
    assert told
    assert settings.leadership.retry_period.seconds == int(told[1])


def test_the_metrics_that_are_named_are_told_by_the_operator():
    told = generate_latest(Operator(Settings(), None).registry).decode()
    names = re.findall(r"`((?:process|workqueue)_\w+)`", PAGE)
    assert len(names) == 2
    for name in names:
        assert f"# TYPE {name} " in told


def test_the_selectors_and_flags_that_are_named_can_be_read():
    listed = re.search(r"takes: (`.+?`), joined by commas", PAGE)
    assert listed
    terms = re.findall(r"`(.+?)`", listed[1])
    assert len(LabelSelector.parse(",".join(terms)).requirements) == len(terms) == 5
    given = _arguments(["--namespace", "risk", "--namespace", "ads", "--selector", "shard=a"])
    assert (given.namespace, given.selector) == (["risk", "ads"], "shard=a")


@measured
def test_the_requests_of_the_chart_do_for_a_thousand_rollouts_and_its_limit_for_four_thousand(one):
    if one.rollouts <= 1000:
        # A request is no limit, and a busy machine takes more CPU time for the same work.
        assert one.steady.cpu / one.steady.seconds <= 1.5 * amount(RESOURCES["requests"]["cpu"])
        assert one.steady.memory <= amount(RESOURCES["requests"]["memory"])
    told = re.search(r"enough for about ([\d,]+) rollouts under way", PAGE)
    assert told
    surge = max(one.ramp.peak, one.steady.peak, one.finish.peak) / one.steady.memory
    most = (one.idle + each(one) * int(told[1].replace(",", ""))) * surge
    assert most <= amount(RESOURCES["limits"]["memory"])


@measured
def test_the_api_server_and_prometheus_are_asked_no_more_than_is_told(one):
    told = re.search(r"fewer than (\d+) writes each", PAGE)
    assert told
    promoted = one.rollouts - one.breach.count - one.aborts.count
    assert one.ramp.writes / one.rollouts < int(told[1])
    assert one.finish.writes / promoted < int(told[1])
    told = re.search(r"at most (\d+) queries per interval", PAGE)
    assert told
    if one.rollouts <= 1000:
        assert one.steady.queries * one.interval / one.steady.seconds <= int(told[1])
    told = re.search(r"less than (\d+) KiB for each rollout", PAGE)
    assert told
    assert one.steady.received * one.interval / one.steady.seconds / one.rollouts / 1024 < int(told[1])
