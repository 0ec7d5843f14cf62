"""What `plan` foretells, warns of and advises; its numbers are those of the planner, whose own tests hold them to simulations."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from modelrollout.analysis.evidence import RATES as ALTERNATIVES
from modelrollout.analysis.evidence import Question
from modelrollout.analysis.planner import (
    Certification,
    Rollback,
    Stage,
    Traffic,
    certificate_seconds,
    rollback_requests,
)
from modelrollout.cli.failures import Refused
from modelrollout.cli.forecast import FACTORS
from modelrollout.cli.forecast_draw import draw
from modelrollout.cli.planning import as_body, look
from modelrollout.cli.view import DOCUMENT_VERSION
from tests.strategies import specs
from tests.unit.cli.forecasts import (
    ERRORS,
    GOLDEN,
    LATENCY,
    SITUATIONS,
    STEPS,
    WIDTHS,
    Given,
    Manifest,
    picture,
    seen,
    spec,
)

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
SHARES = st.integers(0, 999_999).map(lambda millionths: millionths / 1e6)
RATES = ("--rps", "50", "--error-rate", "0.5%")


def written(tmp_path, *specs):
    head = {"apiVersion": "modelrollout.dev/v1alpha1", "kind": "ModelDeployment"}
    documents = [
        {**head, "metadata": {"name": f"fraud{number or ''}", "namespace": "ml"}, "spec": one}
        for number, one in enumerate(specs)
    ]
    file = tmp_path / "fraud.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


def found(specification, given):
    return look(Manifest(Path("fraud.yaml"), "fraud", "ml", specification), None, given)


def texts(specification, given):
    return [f"{one.step}: {one.text}: {one.cure}" for one in found(specification, given)[1]]


@pytest.mark.parametrize("width", WIDTHS)
def test_each_situation_is_drawn_as_in_the_golden_pictures(width):
    assert picture(width) == (GOLDEN / f"plan-{width}.txt").read_text()


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(situation):
    for width in range(60, 161, 4):
        lines = [line.plain for line in draw(*seen(situation), width)]
        assert [line for line in lines if len(line) > width or line != line.rstrip()] == [], f"at {width}"


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_field_of_the_document_is_explained_in_the_reference(situation):
    def fields(value):
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = set(value) if isinstance(value, dict) else set()
        return own.union(*(fields(child) for child in children))

    body = as_body(*seen(situation))
    assert fields(body) <= set(re.findall(r"`([A-Za-z]+)`", PAGE.read_text())) | {"apiVersion"}


def test_the_page_on_planning_shows_what_the_command_prints():
    shown = "\n".join(line.plain for line in draw(*seen("as-in-the-docs"), 100))
    assert f"--rps 5 --error-rate 0.5%\n{shown}\n```" in (PAGE.parent / "plan-a-rollout.md").read_text()


@pytest.mark.parametrize(("rate", "row"), [(0.05, "5 %"), (0.01, "1 %"), (0.005, "0.5 %"), (0.001, "0.1 %")])
def test_the_rules_of_thumb_are_the_planners(rate, row):
    where, step = Traffic(200, rate), [Stage(0.05)]
    test = Rollback(Question(ALTERNATIVES, 1.0, 0.001), share=0.5)
    found = [rollback_requests(test, where, 0.05, times * rate, 0.9) for times in (10, 5, 3, 2)]
    found.append(certificate_seconds(Certification(), where, step, 0.9) * 200 * 0.05)
    line = re.search(rf"^\| {row} \|(.+)\|$", (PAGE.parent / "plan-a-rollout.md").read_text(), re.MULTILINE)[1]
    assert [float(cell.replace(",", "")) for cell in line.split("|")] == pytest.approx(found, rel=0.05)


def test_the_document_for_machines_keeps_its_shape(run, tmp_path):
    said = run(None, "plan", "-f", written(tmp_path, spec(STEPS, ERRORS)), *RATES, "-o", "json")
    assert said.code == 0
    body = json.loads(said.out)
    assert (body["apiVersion"], body["kind"], body["name"]) == (DOCUMENT_VERSION, "RolloutForecast", "fraud")
    assert body["requestsPerSecond"] == 50
    (metric,) = body["metrics"]
    assert metric["stableRate"] == 0.005
    assert [step["name"] for step in metric["steps"]] == ["weight-5", "weight-25", "half", "bake"]
    first = metric["steps"][0]
    assert first["sight"]["requests"] == 1500
    assert [one["ratio"] for one in first["sight"]["regressions"]] == list(FACTORS)
    assert "sight" not in metric["steps"][3], "without a limit nothing speaks at 100 %"
    assert metric["certified"]["seconds"] > 0


def test_a_file_with_several_makes_a_list(run, tmp_path):
    file = written(tmp_path, spec(STEPS, ERRORS), spec(None, ERRORS))
    body = yaml.safe_load(run(None, "plan", "-f", file, *RATES, "-o", "yaml").out)
    assert body["kind"] == "RolloutForecastList"
    assert [item["name"] for item in body["items"]] == ["fraud", "fraud1"]


def test_warnings_change_the_exit_code_only_where_that_is_asked_for(run, tmp_path):
    file = written(tmp_path, spec(None, ERRORS))
    thin = ("plan", "-f", file, "--rps", "1", "--error-rate", "0.5%")
    assert run(None, *thin).code == 0
    strict = run(None, *thin, "--strict")
    assert strict.code == 1
    assert "Raise the hold to" in strict.out
    assert run(None, "plan", "-f", file, *RATES, "--strict").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rps", "0", "--error-rate", "1%"), "--rps 0: write requests per second"),
        (
            ("--rps", "5", "--error-rate", "0.01"),
            "--error-rate 0.01: write a share of requests below 100%, such as 0.5%",
        ),
        (("--rps", "5", "--error-rate", "100%"), "--error-rate 100%"),
        (("--rps", "5", "--error-rate", "1%", "--slow-share", "few"), "--slow-share few"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_wrong_command_line(run, tmp_path, options, words):
    said = run(None, "plan", "-f", written(tmp_path, spec(STEPS, ERRORS)), *options)
    assert said.code == 64
    assert words in said.err


def test_a_spec_that_the_operator_would_refuse_is_refused_in_its_words(run, tmp_path):
    falling = spec([{"weight": 25}, {"weight": 10}], ERRORS)
    said = run(None, "plan", "-f", written(tmp_path, falling), *RATES)
    assert said.code == 1
    assert 'the ModelDeployment "fraud" is invalid: spec.rollout.steps' in said.err


def test_an_obvious_fault_that_a_step_would_not_see_is_warned_of_with_hold_and_weight():
    (warning,) = texts(spec([{"weight": 1, "hold": "1h"}, {"weight": 10, "hold": "12h"}], ERRORS), Given(5, 0.005))
    assert re.fullmatch(
        r"weight-1: errors: 1h at 1 % sees 13x \(6.4 %\); 10x \(5 %\) would take 1h25m: "
        r"raise the hold to 1h30m or the weight to 2 %",
        warning,
    )


def advised(steps, given):
    """The steps after the first advice was taken."""
    (first, *_) = found(spec(steps, ERRORS), given)[1]
    return first.cure, re.search(r"the hold to (\w+)", first.cure), re.search(r"the weight to (\d+) %", first.cure)


def test_either_advice_cures():
    steps, given = [{"weight": 1, "hold": "1h"}, {"weight": 10, "hold": "12h"}], Given(5, 0.005)
    _, hold, weight = advised(steps, given)
    assert texts(spec([steps[0] | {"hold": hold[1]}, steps[1]], ERRORS), given) == []
    assert texts(spec([steps[0] | {"weight": int(weight[1])}, steps[1]], ERRORS), given) == []


def test_in_nearly_empty_windows_a_longer_interval_is_advised_and_cures():
    steps, given = [{"weight": 10, "hold": "2h20m"}], Given(2, 0.0005)
    cure, *_ = advised(steps, given)
    assert "analysis.interval to 5m" in cure
    longer = spec(steps, analysis={"interval": "5m", "metrics": [ERRORS]})
    assert [one for one in texts(longer, given) if "sees" in one] == []


def test_a_weight_is_never_advised_above_that_of_the_next_step():
    steps = [{"weight": 1, "hold": "20m"}, {"weight": 2, "hold": "24h"}]
    assert advised(steps, Given(5, 0.005))[2] is None


def test_a_step_that_lacks_its_sample_is_told_how_long_it_will_last():
    steps = [{"weight": 10, "hold": "10m"}, {"weight": 50, "hold": "24h"}]
    warned = texts(spec(steps, ERRORS), Given(1, 0.05))
    assert warned[0].startswith("weight-10: 60 requests in 10m, 100 needed for errors: it will last about 16m: ")
    assert texts(spec(steps, ERRORS | {"minimumSampleSize": 50}), Given(1, 0.05)) != warned


def test_a_certificate_that_comes_late_and_one_that_never_comes_are_told_apart():
    steps = [{"weight": 50, "hold": "1h"}]
    late = texts(spec(steps, ERRORS), Given(4, 0.005))
    assert any("promotion will wait about" in one and "beyond the hold of step weight-50" in one for one in late)
    never = texts(spec(steps, ERRORS), Given(0.5, 0.005))
    assert any("it ends Underpowered, with onInconclusive Hold" in one for one in never)


def test_the_advised_hold_of_the_last_step_is_enough_for_the_certificate():
    given = Given(4, 0.005)
    (warned,) = (
        one for one in found(spec([{"weight": 50, "hold": "1h"}], ERRORS), given)[1] if "promotion" in one.text
    )
    hold = re.search(r"the hold of weight-50 to (\w+)", warned.cure)[1]
    assert texts(spec([{"weight": 50, "hold": hold}], ERRORS), given) == []


def test_a_metric_that_only_warns_asks_for_no_certificate():
    forecast, warned = found(spec([{"weight": 50, "hold": "1h"}], ERRORS | {"onBreach": "Warn"}), Given(0.5, 0.05))
    assert forecast.metrics[0].certified is None
    assert not any("certified" in one.text or "promotion" in one.text for one in warned)


def test_a_bake_is_not_said_to_be_unjudged_where_a_query_judges_it():
    drift = {"name": "drift", "query": "max(drift)", "range": {"max": "3"}}
    warned = texts(spec(STEPS, ERRORS, drift), Given(100, 0.01))
    assert not any("nothing is judged" in one for one in warned)
    assert any("nothing is judged" in one for one in texts(spec(STEPS, ERRORS), Given(100, 0.01)))


def smallest(*metrics, **fields):
    forecast, _ = found(spec(STEPS, *metrics, **fields), Given(50, 0.01, 0.02))
    return forecast.metrics[0].steps[0].sight.smallest_rate


def test_what_a_step_sees_follows_the_settings_of_the_analysis():
    plain = smallest(ERRORS)
    assert smallest(ERRORS, LATENCY) > plain, "two tests share the probability of a false rollback"
    assert smallest(ERRORS | {"overdispersion": "4"}) > plain
    assert smallest(ERRORS, replicas=1) > plain, "one pod: the design effect cannot be measured"
    assert smallest(ERRORS | {"compare": {"margin": "1.5"}}) > plain
    lenient = ERRORS | {"compare": {"margin": "3"}}
    assert smallest(lenient | {"limit": "1.1%"}) < smallest(lenient | {"limit": "50%"})
    careful = {"falseRollbackProbability": "0.01%", "metrics": [ERRORS]}
    assert smallest(analysis=careful) > plain
    assert smallest(LATENCY | {"latency": {}}) > smallest(LATENCY), "all bounds share it, too"


def test_the_share_that_pods_can_make_is_the_one_that_is_planned_with():
    forecast, _ = seen("by-replicas")
    step = forecast.metrics[0].steps[0]
    assert (step.weight, step.effective_weight) == ("10", "25")
    assert step.sight.requests == pytest.approx(2 * 0.25 * 7200)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs(), st.floats(0.001, 1e6), SHARES, SHARES, st.integers(40, 200))
def test_every_spec_that_is_accepted_can_be_planned_and_drawn(specification, rps, errors, slow, width):
    try:
        forecast, warned = found(specification, Given(rps, errors, slow))
    except Refused:
        return
    assert json.loads(json.dumps(as_body(forecast, warned)))["kind"] == "RolloutForecast"
    lines = [line.plain for line in draw(forecast, warned, width)]
    assert lines
    for one in forecast.metrics:
        assert all(step.sight is None or (step.sight.smallest_rate or 0) <= 1 for step in one.steps)


def test_settings_name_runtimes_for_plan_as_for_render(run, tmp_path):
    file = written(tmp_path, spec(STEPS, ERRORS, server={"runtime": "Ours", "image": "x:1"}))
    assert "no runtime" in run(None, "plan", "-f", file, *RATES).err
    settings = tmp_path / "settings.yaml"
    requests = {"requests": {"series": "our_requests_total"}}
    provider = {"name": "default", "url": "http://prometheus:9090"}
    settings.write_text(
        yaml.safe_dump({"providers": [provider], "runtimes": [{"name": "Ours", "port": 80, "series": requests}]})
    )
    assert run(None, "plan", "-f", file, *RATES, "--settings", str(settings)).code == 0


def test_an_ab_test_has_no_steps_to_plan():
    variant = {"name": "b", "weight": 20, "version": "3"}
    tested = spec(None, ERRORS, rollout={"strategy": "ABTest", "variants": [variant]})
    with pytest.raises(Refused, match="fraud: an A/B test has no steps to plan"):
        found(tested, Given(50.0, 0.005, None))
