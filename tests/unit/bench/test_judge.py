"""The bench of the judge: what it draws and counts must be right, or its figures mean nothing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.judge import play, scenes
from bench.judge.figures import exact_interval, figures, measure
from bench.judge.peers import Checks
from bench.judge.play import Played, Player
from bench.judge.report import BEGIN, Report, Result, write_docs
from bench.judge.scenes import Expected, Scene
from bench.judge.setting import Setting, plan_of
from bench.judge.svg import Curve, plot
from bench.judge.traffic import BOUNDS, SHOWN, Traffic

ROOT = Path(__file__).parents[3]
HEALTHY = Setting()


def totals(windows):
    return (
        sum(window.candidate.requests for window in windows),
        sum(window.candidate.bad for window in windows),
        sum(window.stable.requests for window in windows),
        sum(window.stable.bad for window in windows),
    )


def drawn(setting, weight=0.25, pods=1, count=None, number=0):
    return Traffic(setting, 7, number).windows(weight, pods, 0, count or setting.windows, 0.0)


def test_requests_follow_the_weight_and_errors_the_rates():
    requests, bad, others, worse = totals(drawn(Setting(rate_candidate=0.02)))
    assert requests == pytest.approx(240 * 750 * 0.25, rel=0.02)
    assert others == pytest.approx(240 * 750 * 0.75, rel=0.02)
    assert bad == pytest.approx(requests * 0.02, rel=0.1)
    assert worse == pytest.approx(others * 0.005, rel=0.15)


def test_windows_are_disjoint_and_of_their_length():
    windows = Traffic(HEALTHY, 1, 0).windows(0.5, 1, 4, 3, 60.0)
    assert [(window.start, window.end) for window in windows] == [(60.0, 75.0), (75.0, 90.0), (90.0, 105.0)]


def test_a_late_onset_changes_the_candidate_from_then_on():
    windows = drawn(Setting(rate_candidate=0.3, rate_stable=0.0, onset=1800.0))
    assert totals(windows[:120])[1] == 0
    requests, bad, _, _ = totals(windows[120:])
    assert bad == pytest.approx(requests * 0.3, rel=0.05)


def test_incidents_are_of_both_versions():
    windows = drawn(Setting(rate_stable=0.0, rate_candidate=0.0, incident=0.1))
    assert totals(windows[:120])[1::2] == (0, 0)
    requests, bad, others, worse = totals(windows[120:])
    assert (bad / requests, worse / others) == (pytest.approx(0.1, rel=0.1), pytest.approx(0.1, rel=0.1))


@pytest.mark.parametrize("bursts", ["shared", "pod"])
def test_bursts_leave_the_mean_rate_as_it_is(bursts):
    setting = Setting(bursts=bursts, burst_length=60.0, pods=4, rate_stable=0.02, rate_candidate=0.02)
    found = [totals(drawn(setting, pods=1, number=number)) for number in range(12)]
    requests, bad, others, worse = (sum(column) for column in zip(*found, strict=True))
    assert bad / requests == pytest.approx(0.02, rel=0.15)
    assert worse / others == pytest.approx(0.02, rel=0.15)


def test_shared_bursts_hit_both_versions_at_the_same_time():
    windows = drawn(Setting(bursts="shared", burst_length=60.0, rps=5000.0, rate_stable=0.02, rate_candidate=0.02))
    rates = np.array(
        [(one.candidate.bad / one.candidate.requests, one.stable.bad / one.stable.requests) for one in windows]
    )
    assert np.corrcoef(rates.T)[0, 1] > 0.95


def test_the_history_of_pods_that_differ_shows_it_and_others_have_none():
    assert Traffic(HEALTHY, 1, 0).history == ()
    history = Traffic(Setting(spread=0.5, pods=3, rate_stable=0.1), 1, 0).history
    assert len(history) == 360
    by_pod = {pod: sum(step[pod].bad for step in history) for pod in history[0]}
    assert max(by_pod.values()) > 1.2 * min(by_pod.values())


def test_slower_latencies_have_more_requests_beyond_each_bound():
    windows = drawn(Setting(latency_factor=1.5), weight=0.5)
    assert [text for text, _, _ in windows[0].bounds] == [f"{bound:g}s" for bound in BOUNDS]
    for index in (3, 4, SHOWN):
        ours = sum(window.bounds[index][1].bad for window in windows)
        theirs = sum(window.bounds[index][2].bad for window in windows)
        assert ours > 1.03 * theirs
    one = windows[0].bounds
    assert [cell[1].bad for cell in one] == sorted((cell[1].bad for cell in one), reverse=True)
    assert {cell[1].requests for cell in one} == {one[0][1].requests}


@pytest.mark.parametrize("wrong", [{"bursts": "some"}, {"method": "guess"}, {"latency_factor": 2.0, "spread": 0.1}])
def test_a_setting_without_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|goes with"):
        Setting(**wrong)


def test_the_plan_is_that_of_the_spec():
    plan = plan_of(Setting(weights=(1.0, 50.0), step_minutes=2.0, alpha=0.02, idle=600.0))
    assert [(int(step.weight), step.hold) for step in plan.steps] == [(100, 120.0), (5000, 120.0), (10_000, 0.0)]
    assert (plan.false_rollback, plan.steps[1].approval, plan.interval) == (0.02, True, 15.0)


def test_a_bad_candidate_is_taken_back_at_once_and_a_good_one_promoted():
    bad = Player(Setting(rate_candidate=0.3), 1).play(0)
    assert (bad.rolled_back, bad.seconds, bad.outcome) == (True, 15.0, "RolledBack")
    assert 0 < bad.requests < 80
    good = Player(HEALTHY, 1).play(0)
    assert (good.rolled_back, good.outcome, good.seconds) == (False, "Promoted", 3600.0)
    assert good.certified is not None


def test_one_that_waits_for_approval_is_still_judged():
    waiting = Player(Setting(rate_candidate=0.2, step_minutes=5.0, idle=1200.0), 3).play(0)
    assert waiting.rolled_back
    assert 2400.0 < waiting.seconds <= 2460.0


@pytest.mark.parametrize(
    "setting",
    [
        replace(HEALTHY, rate_candidate=0.01),
        HEALTHY,
        Setting(method="threshold", window=60.0),
        Setting(metrics=2, rate_candidate=0.008),
        Setting(bursts="pod", pods=6),
    ],
)
def test_several_windows_at_once_come_to_the_same_as_one_by_one(setting, monkeypatch):
    several = [Player(setting, 5).play(number) for number in range(3)]
    monkeypatch.setattr(play, "FEW", 1)
    monkeypatch.setattr(play, "MANY", 1)
    one_by_one = [Player(setting, 5).play(number) for number in range(3)]
    assert [replace(one, decisions=0) for one in several] == [replace(one, decisions=0) for one in one_by_one]


def test_three_failed_checks_of_a_minute_take_back():
    setting = Setting(rate_candidate=0.1, window=60.0)
    found = Checks(setting, 1).play(0)
    assert (found.rolled_back, found.seconds) == (True, 180.0)
    assert not Checks(replace(setting, rate_candidate=0.0, rate_stable=0.0), 1).play(0).rolled_back


def ended(seconds, rolled_back=True, requests=10, certified=None):
    return Played(rolled_back, "RolledBack" if rolled_back else "Promoted", seconds, requests, certified, 4)


def test_figures_count_from_the_onset_and_keep_early_rollbacks_apart():
    found = figures(
        Setting(onset=100.0), 1, [ended(60.0), ended(130.0), ended(160.0, certified=15.0), ended(9.0, False)], 2.0
    )
    assert (found.rolled_back, found.early, found.times, found.certified) == (3, 1, (30.0, 60.0), 1)
    assert (found.median_seconds, found.median_certified_seconds, found.share) == (45.0, 15.0, 0.75)


def test_intervals_are_exact():
    assert exact_interval(0, 10_000) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10_000)))
    assert exact_interval(5, 10) == (pytest.approx(0.18709, abs=1e-4), pytest.approx(0.81291, abs=1e-4))
    assert exact_interval(30, 10_000) == (pytest.approx(0.002025, abs=1e-5), pytest.approx(0.004280, abs=1e-5))
    assert exact_interval(20, 20)[1] == 1.0


NOTHING = Expected()


def result(expected=NOTHING, **setting):
    found = figures(Setting(**setting), 1, [ended(30.0), ended(45.0), ended(45.0)], 1.0)
    return Result(Scene("some", Setting(**setting), expected), found)


def test_figures_that_stray_are_named():
    assert result(Expected(seconds=60.0, requests=10.0, share=1.0)).strays == ()
    assert result(Expected(seconds=75.0)).strays == ("some: median seconds: 45, expected 75",)
    assert result(Expected(requests=13.0)).strays == ("some: median requests: 10, expected 13",)
    assert result(Expected(share=0.01, at_most=True)).strays == ("some: 100.00% rolled back, expected 1%",)
    assert result(Expected(certified_seconds=9.0)).strays == ("some: seconds to the certificate: none, expected 9",)


def test_the_section_of_the_docs_is_replaced_and_the_rest_stays(tmp_path):
    page, image = tmp_path / "benchmarks.md", tmp_path / "images" / "judge.svg"
    page.write_text("# Benchmarks\n\nother figures\n")
    one = result()
    report = Report(*((one,),) * 6)
    for _ in range(2):
        write_docs(report, {"command": "python -m bench.judge"}, page, image)
    text = page.read_text()
    assert text.startswith("# Benchmarks\n\nother figures\n")
    assert text.count(BEGIN) == 1
    assert "- command: `python -m bench.judge`" in text
    assert ET.parse(image).getroot().tag.endswith("svg")


def test_a_curve_rises_at_its_times_to_its_share():
    text = plot("t", "x", "y", [Curve("<a>", (15.0, 3600.0), 2)], ((15.0, "15 s"), (3600.0, "1 h")))
    path = next(node.attrib["d"] for node in ET.fromstring(text) if node.attrib.get("fill") == "none")
    assert path == "M64 344.0H64.0V192.0H570.0V40.0H570.0"


def test_every_scene_has_a_plan():
    for group in (
        scenes.TABLE,
        scenes.LATE,
        scenes.LATENCIES,
        scenes.CERTIFICATES,
        scenes.INNOCENT,
        scenes.APPROXIMATE,
    ):
        for scene in group:
            assert plan_of(scene.setting).steps


def test_measuring_is_repeatable():
    setting = Setting(rate_candidate=0.05)
    one, other = measure(setting, 3, 9), measure(setting, 3, 9)
    assert replace(one, cpu_seconds=0.0) == replace(other, cpu_seconds=0.0)


def test_the_command_prints_one_json_object():
    words = "-m bench.judge --rps 50 --rate-stable 0.005 --rate-candidate 0.2 --rollouts 4 --seed 1 --json"
    printed = subprocess.run(
        [sys.executable, *words.split()], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found = json.loads(printed)
    assert found["rolled_back"] == 4
    assert found["median_seconds"] <= 30
    assert {"median_requests", "certified", "median_certified_seconds"} <= found.keys()
