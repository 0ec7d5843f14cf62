"""A `Record` as one HTML page that needs nothing else: no script, no font, no picture from anywhere, and a policy that forbids them.

It follows the reader's light or dark scheme and prints on white. Every text is escaped, for messages quote what models and people
have written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from modelrollout.api.status import MetricStatus, Verdict

from .curves import Curve, Reading
from .plot import Chart, Line, Mark, Point, linear_axis, log_axis, spread_axis, time_axis
from .record import Record, steps_of
from .report_style import STYLE
from .words import count, second, spaced, span

_LOWEST = 0.001
"""Evidence below this share of what is needed is drawn at it."""
_TELLING, _FEWEST = 400, 12
_SHARES = ((0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %"))
_BADGES = {"Promoted": "good", "InProgress": "busy", "Superseded": "busy"}
_VERDICTS = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.CONTINUE: "busy"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

Rows = Iterable[Sequence[str]]


def html(found: Record, curves: Sequence[Curve], now: float) -> str:
    """The whole page, with a line break at its end."""
    title = f"{found.name}: version {found.version}" + (f" against version {found.against}" if found.against else "")
    body = [
        *_head(found, title, now),
        *_weight(found, now),
        *_traffic(found, curves, now),
        *_metrics(found, curves, now),
        *_tables(found),
        *_notes(found, curves, now),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style></head>",
            "<body><main>",
            *body,
            "</main></body>",
            "</html>",
            "",
        ]
    )


def _head(found: Record, title: str, now: float) -> Iterator[str]:
    badge = _BADGES.get(found.outcome, "bad")
    words = "In progress" if found.outcome == "InProgress" else found.outcome
    why = f": {found.reason}" if found.reason and found.reason != found.outcome else ""
    yield f'<header><h1>{escape(title)}</h1><span class="badge {badge}">{escape(words + why)}</span>'
    if found.message:
        yield f'<p class="message">{escape(found.message)}</p>'
    took = span(found.until(now) - found.started_at)
    ended = f"{second(found.ended_at)} (after {took})" if found.ended_at is not None else f"under way for {took}"
    against = f"{found.against_revision} (version {found.against})" if found.against else "nothing that is on record"
    facts = {
        "Namespace": found.namespace,
        "Revision": found.revision,
        "Against": against,
        "Started": second(found.started_at),
        "Ended": ended,
    }
    if found.attempt:
        facts["Attempt"] = str(found.attempt + 1)
    yield (
        "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items()) + "</dl>"
    )
    yield "</header>"


def _weight(found: Record, now: float) -> Iterator[str]:
    end = found.until(now)
    marks = [Mark(one.at, str(number)) for number, one in enumerate(found.commands, start=1)]
    told = ", ".join(f"{one.told} at {second(one.at)}" for one in found.weights)
    chart = Chart(
        title="Share of traffic",
        text=f"The candidate's share over time: {told or 'none'}.",
        x=time_axis(found.started_at, end),
        y=linear_axis([100.0], "{:g} %"),
        lines=[Line("candidate", [(at, share * 100.0) for at, share in steps_of(found, end)], area=True)],
        marks=marks,
    )
    numbered = "; numbers mark commands" if marks else ""
    yield from _figure("Share of traffic", f"version {found.version}, UTC{numbered}", chart)


def _traffic(found: Record, curves: Sequence[Curve], now: float) -> Iterator[str]:
    """Requests per second, from the first metric that counts them."""
    counting = next((one for one in curves if any(read.candidate.requests for read in one.readings)), None)
    if counting is None:
        return
    reads = counting.readings
    ours = [((one.start + one.end) / 2.0, one.candidate.requests / (one.end - one.start)) for one in reads]
    theirs = [((one.start + one.end) / 2.0, one.stable.requests / (one.end - one.start)) for one in reads]
    chart = Chart(
        title="Requests per second",
        text="Requests per second of both versions over time.",
        x=time_axis(found.started_at, found.until(now)),
        y=linear_axis([value for _, value in (*ours, *theirs)]),
        lines=[Line("stable", theirs), Line("candidate", ours)],
    )
    yield from _figure("Requests per second", _legend(found), chart)


def _legend(found: Record) -> str:
    stable = f"version {found.against}" if found.against else "stable"
    return f'<span class="key stable">{escape(stable)}</span> <span class="key candidate">{escape(f"version {found.version}")}</span>'


def _figure(title: str, legend: str, chart: Chart) -> Iterator[str]:
    yield f"<figure><figcaption><b>{escape(title)}</b> {legend}</figcaption>"
    yield chart.svg()
    yield "</figure>"


def _metrics(found: Record, curves: Sequence[Curve], now: float) -> Iterator[str]:
    said = {one.name: one for one in found.metrics}
    drawn = {one.metric.name: one for one in curves}
    for name in dict.fromkeys([*said, *drawn]):
        yield "<section>"
        yield from _metric(found, name, said.get(name), drawn.get(name), now)
        yield "</section>"


def _metric(found: Record, name: str, said: MetricStatus | None, curve: Curve | None, now: float) -> Iterator[str]:
    bound = (said.effective_threshold if said else None) or (curve.bound if curve else "")
    slow = f", slower than {bound}" if bound else ""
    chip = f' <span class="badge {_VERDICTS.get(said.verdict, "busy")}">{escape(said.verdict)}</span>' if said else ""
    yield f"<h2>{escape(name + slow)}{chip}</h2>"
    if said is not None:
        if said.message:
            yield f"<p>{escape(spaced(said.message))}</p>"
        yield from _figures_of(said)
    if curve is None:
        return
    if curve.problem:
        yield f'<p class="note">{escape(curve.problem)}</p>'
        return
    yield from _rates(found, curve, now)
    yield from _evidence(found, curve, now)


def _figures_of(said: MetricStatus) -> Iterator[str]:
    """What status says of a metric, as a list of terms."""
    requests = count(said.total_requests or said.requests, "request")
    facts = {
        "Candidate": said.candidate,
        "Stable": said.stable,
        "Ratio": f"{said.ratio} ({said.interval})" if said.ratio and said.interval else said.ratio,
        "Limit": said.limit,
        "Evidence for rollback": said.evidence,
        "Certificate for promotion": said.certificate,
        "Rests on": requests if said.total_requests or said.requests else None,
        "Design effect": said.design_effect,
        "Checks": said.checks,
    }
    shown = [(name, spaced(text)) for name, text in facts.items() if text]
    if shown:
        yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in shown) + "</dl>"


def _rates(found: Record, curve: Curve, now: float) -> Iterator[str]:
    valued = curve.metric.query is not None
    ours, theirs = _values(curve) if valued else _shares_of(curve)
    values = [value for _, value in (*ours, *theirs)]
    limit = curve.metric.limit
    least = limit.fraction * 100.0 if limit is not None else 0.0
    title = (
        "Value"
        if valued
        else "Slow requests"
        if curve.metric.latency
        else "Errors"
        if curve.metric.error_rate
        else "Bad events"
    )
    chart = Chart(
        title=f"{curve.metric.name}: {title.lower()} over time",
        text="Of both versions, over time.",
        x=time_axis(found.started_at, found.until(now)),
        y=spread_axis(values) if valued else linear_axis(values, "{:g} %", least),
        lines=[Line("stable", theirs), Line("candidate", ours)],
        across=[(least, "limit")] if limit is not None else [],
    )
    drawn = f' <span class="key limit">limit {escape(spaced(limit))}</span>' if limit is not None else ""
    yield from _figure(title, _legend(found) + drawn, chart)


def _values(curve: Curve) -> tuple[list[Point], list[Point]]:
    return (
        [(one.end, one.candidate_value) for one in curve.readings],
        [(one.end, one.stable_value) for one in curve.readings],
    )


def _shares_of(curve: Curve) -> tuple[list[Point], list[Point]]:
    """Percent of requests as stairs, in stretches long enough to tell something; a gap where a version had none."""
    ours: list[Point] = []
    theirs: list[Point] = []
    for reads in _stretches(curve.readings):
        begin, end = reads[0].start, reads[-1].end
        for points, counts in ((ours, [one.candidate for one in reads]), (theirs, [one.stable for one in reads])):
            requests = sum(one.requests for one in counts)
            share = 100.0 * sum(one.bad for one in counts) / requests if requests else None
            points += [(begin, share), (end, share)]
    return ours, theirs


def _stretches(readings: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    """Readings in groups of one size, so that a group has `_TELLING` requests of the candidate on average."""
    requests = sum(one.candidate.requests for one in readings)
    groups = min(max(requests // _TELLING, _FEWEST), len(readings))
    size = -(-len(readings) // max(groups, 1))
    return (readings[at : at + size] for at in range(0, len(readings), size))


def _evidence(found: Record, curve: Curve, now: float) -> Iterator[str]:
    worse = [(one.end, one.evidence) for one in curve.readings if one.evidence is not None]
    sound = [(one.end, one.certificate) for one in curve.readings if one.certificate is not None]
    if not worse and not sound:
        return
    chart = Chart(
        title=f"{curve.metric.name}: evidence over time",
        text="Evidence for rollback and for promotion, as shares of what is needed.",
        x=time_axis(found.started_at, found.until(now)),
        y=log_axis(_LOWEST, 1.0, _SHARES),
        lines=[Line("sound", sound), Line("worse", worse)],
        across=[(1.0, "needed")],
    )
    legend = '<span class="key worse">for rollback</span> <span class="key sound">for promotion</span>'
    yield from _figure("Evidence, of what is needed", legend, chart)


def _tables(found: Record) -> Iterator[str]:
    weights = [
        (second(one.at), one.told, "" if one.seconds is None else span(one.seconds), one.reason)
        for one in found.weights
    ]
    yield from _table("Weights", ("Set at", "Weight", "For", "Reason"), weights)
    commands = [
        (str(number), second(one.at), one.action, one.step, one.by, one.reason, one.outcome, one.message)
        for number, one in enumerate(found.commands, start=1)
    ]
    yield from _table("Commands", ("", "Taken at", "Action", "Step", "By", "Why", "Outcome", "Message"), commands)


def _table(title: str, head: Sequence[str], rows: Rows) -> Iterator[str]:
    """With the columns that have anything in them; nothing for a table without rows."""
    rows = list(rows)
    if not rows:
        return
    filled = [column for column in range(len(head)) if any(row[column] for row in rows)]
    yield f"<section><h2>{escape(title)}</h2>"
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(head[column])}</th>" for column in filled) + "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(row[column])}</td>" for column in filled) + "</tr>"
    yield "</tbody></table></div></section>"


def _notes(found: Record, curves: Sequence[Curve], now: float) -> Iterator[str]:
    notes = list(found.gaps)
    if curves:
        notes.append(
            "curves were read back from Prometheus and judged by the plan in force now; pods count from their first scrape"
        )
    yield "<footer>"
    yield from (f"<p>{escape(note[:1].upper() + note[1:])}.</p>" for note in notes)
    yield f"<p>Made by kubectl modelrollout report {escape(found.name)} at {second(now)}.</p>"
    yield "</footer>"
