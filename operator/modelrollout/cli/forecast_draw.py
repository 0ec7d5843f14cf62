"""A `Forecast` on a terminal: a table for each metric, then what stands in the way. Pure: lines that fit the width.

The table gives up its least important columns first; sentences wrap, and nothing is cut without an ellipsis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from .draw import NARROWEST, wrap
from .forecast import CERTAINTY, FACTORS, Forecast, MetricForecast, Sight, StepForecast
from .remedies import Warned
from .words import share, span, times

_INDENT, _GAP = "  ", "  "
_SILENT = "-"
_YEAR = 365 * 86_400
_STANDING = {"No": "no", "Yes": "yes", None: ""}


def draw(found: Forecast, warned: Sequence[Warned], width: int) -> list[Text]:
    """All lines of `plan`."""
    width = max(width, NARROWEST)
    lines = [_head(found)]
    if not found.judged:
        lines += _sentence("analysis.mode None: promotion by time only, no metric is judged", width, "yellow")
    elif found.metrics:
        lines += _sentence(_promise(found), width)
    for metric in found.metrics:
        lines += [Text(), *_metric(metric, width)]
    for name, why in found.silent:
        lines += [Text(), *_sentence(f"{name}: not planned: {why}", width, "yellow")]
    if warned:
        lines += [Text(), *(line for one in warned for line in _warning(one, width))]
    return lines


def _head(found: Forecast) -> Text:
    rate = f"{found.given.rps:,g} request{'' if found.given.rps == 1 else 's'}/s"
    return Text.assemble((found.name, "bold"), f" ({found.namespace})   {rate}")


def _promise(found: Forecast) -> str:
    return (
        f"Times within which {CERTAINTY * 10:.0f} of 10 rollouts are done: of each step by itself, and of all with the evidence "
        f"carried along. A version that is no worse is taken back with a probability of at most {share(found.false_rollback)}."
    )


def _metric(metric: MetricForecast, width: int) -> Iterator[Text]:
    what = "slow requests" if metric.slow else "errors"
    yield Text.assemble(_INDENT, (metric.name, "bold"), f"   stable has {share(metric.stable_rate)} {what}")
    head, *rows = _fitted(metric, width - len(_INDENT))
    yield Text(_INDENT + head, style="dim")
    for row in rows:
        yield Text(_INDENT + row)


_SPARE = ("REQUESTS", "CERTIFIED", "HOLD", "5x")
"""Columns that go first where there is no room, in this order, after the rates beside SEES."""
_LEFT = frozenset({"STEP", "SEES", "CERTIFIED"})


def _fitted(metric: MetricForecast, width: int) -> list[str]:
    """The widest form of the table that fits, a text for each row."""
    forms = [_columns(metric, rates=True)]
    plain = _columns(metric, rates=False)
    forms += [
        {head: cells for head, cells in plain.items() if head not in _SPARE[:fewer]} for fewer in range(len(_SPARE) + 1)
    ]
    rows: list[str] = []
    for form in forms:
        rows = _laid(form)
        if max(map(len, rows)) <= width:
            break
    return rows


def _laid(columns: dict[str, list[str]]) -> list[str]:
    laid = []
    for head, cells in columns.items():
        size = max(len(head), *map(len, cells))
        laid.append([cell.ljust(size) if head in _LEFT else cell.rjust(size) for cell in (head, *cells)])
    return [_GAP.join(row).rstrip() for row in zip(*laid, strict=True)]


def _columns(metric: MetricForecast, *, rates: bool) -> dict[str, list[str]]:
    """Head and cells: one for each step, and one for all of them with the evidence carried along."""
    sights = [*(step.sight for step in metric.steps), metric.whole]
    holds = [*(step.hold_seconds for step in metric.steps), metric.whole.hold_seconds]
    found = {
        "STEP": [*(_label(step) for step in metric.steps), "all"],
        "HOLD": [span(hold) if hold else _SILENT for hold in holds],
        "REQUESTS": [f"{sight.requests:,.0f}" if sight else _SILENT for sight in sights],
        "SEES": [_sees(sight, rates=rates) for sight in sights],
    }
    for place, factor in enumerate(FACTORS):
        never, no = ("never", "no") if metric.stable_rate else (_SILENT, _SILENT)
        found[f"{factor}x"] = [
            *(_time(step.sight, place, never) for step in metric.steps),
            _time(metric.whole, place, no),
        ]
    if metric.certified:
        seconds = metric.certified.seconds
        after = f"after {span(seconds)}" if seconds is not None else "no"
        standing = [after if step.certified == "Here" else _STANDING[step.certified] for step in metric.steps]
        found["CERTIFIED"] = [*standing, after]
    return found


def _label(step: StepForecast) -> str:
    """`5 %`, and the name where somebody gave it one."""
    named = "" if step.name.startswith("weight-") else f" {step.name}"
    gets = f" (gets {step.effective_weight} %)" if step.effective_weight else ""
    return f"{step.weight} %{named}{gets}"


def _sees(sight: Sight | None, *, rates: bool) -> str:
    if sight is None:
        return _SILENT
    if sight.smallest_rate is None:
        return "nothing"
    if sight.smallest_ratio is None:
        return share(sight.smallest_rate)
    return times(sight.smallest_ratio) + (f" ({share(sight.smallest_rate)})" if rates else "")


def _time(sight: Sight | None, place: int, never: str) -> str:
    if sight is None:
        return _SILENT
    seconds = sight.seconds[place]
    if seconds is None:
        return never
    return span(seconds) if seconds < _YEAR else ">1y"


def _sentence(text: str, width: int, style: str = "") -> list[Text]:
    return [Text(_INDENT + line, style=style) for line in wrap(text, width - len(_INDENT))]


def _warning(one: Warned, width: int) -> Iterator[Text]:
    where = f"step {one.step}: " if one.step else ""
    first, *rest = wrap(f"{where}{one.text}. {one.cure[:1].upper()}{one.cure[1:]}.", width - 2 * len(_INDENT))
    yield Text.assemble(_INDENT, ("! ", "bold yellow"), first)
    for line in rest:
        yield Text(2 * _INDENT + line)
