"""A `View` on a terminal: lines that fit its width, from 60 columns to as many as there are.

Pure: view and width in, styled lines out; colours are styles that rich drops where there is no terminal. Long texts wrap under
their own column, the table gives up its least important parts first (the bar, then the full name), and nothing is cut without
an ellipsis. Only a command to copy may be longer than the line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.text import Text

from modelrollout.api.status import GoalStatus, MetricStatus, Phase, Verdict

from .view import ArmView, RevisionView, StepView, View
from .words import count, spaced, span

NARROWEST = 40
_INDENT = " " * 2
_GAP = "  "
_LABEL = 11
"""Width of the first column, its gap included, unless a metric has a longer name."""
_BAR, _SHORT_BAR = 20, 6
_EIGHTHS = "▏▏▎▍▌▋▊▉"
_VERDICT = 8

_PHASES = {
    Phase.HEALTHY: "bold green",
    Phase.PAUSED: "bold yellow",
    Phase.ROLLED_BACK: "bold red",
    Phase.ROLLING_BACK: "bold red",
    Phase.FAILED: "bold red",
}
_VERDICTS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.ERROR: "yellow",
    Verdict.NO_DATA: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.UNDERPOWERED: "yellow",
    Verdict.RESTING: "dim",
}
_ROLES = {"Stable": "green", "Candidate": "cyan", "Variant": "cyan", "Former": "dim", "Rejected": "red"}
_MARKS = {"Done": ("✔", "green"), "Current": ("▶", "bold"), "Next": ("·", "dim")}
_SPEAKS_FOR_ITSELF = (Verdict.PASS, Verdict.CONTINUE, Verdict.FAIL)


def draw(view: View, width: int) -> list[Text]:
    """All lines of `status`."""
    width = max(width, NARROWEST)
    label = max(_LABEL, min(max((len(name) + 2 for name in _labels(view)), default=0), width // 4))
    lines = [*_head(view, width), *_sentences(view.message, width), *_sentences(view.note, width, "yellow")]
    lines += _Table(view.revisions, label, width).lines() if view.revisions else ()
    lines += _flow("steps", [_step(step) for step in view.steps], label, width)
    lines += _flow("testers", [Text(way) for way in (view.preview_url, view.tester_header) if way], label, width)
    for metric in view.metrics:
        lines += metric_lines(metric, label, width)
    for arm in view.variants:
        lines += _arm(arm, label, width)
    lines += _flow("next", [Text(word) for word in _words(view.next)], label, width, gap=" ")
    return lines


def _labels(view: View) -> Iterator[str]:
    """What stands in the first column, beside the usual words."""
    yield from (metric.name for metric in view.metrics)
    yield from (_role(found) for found in view.revisions)
    for arm in view.variants:
        yield from (f"{arm.name} {metric.name}" for metric in arm.metrics)


def _role(found: RevisionView) -> str:
    """A version's part, in lower case: that in an A/B test goes before its role."""
    if found.arm is None:
        return found.role.lower()
    return found.arm if found.role == "Stable" else f"{'out: ' if found.role == 'Rejected' else 'variant '}{found.arm}"


def _arm(arm: ArmView, column: int, width: int) -> Iterator[Text]:
    """What a variant of an A/B test does for the goal, and what its guards say."""
    if arm.out is not None:
        yield from _flow(f"{arm.name} out", [Text(word) for word in _words(arm.out)], column, width, gap=" ")
        return
    if arm.goal is not None:
        yield from _flow(f"{arm.name} goal", _goal(arm.goal), column, width)
    for metric in arm.metrics:
        yield from _flow(f"{arm.name} {metric.name}", _metric(metric), column, width)


def _goal(goal: GoalStatus) -> list[Text]:
    """Both rates, the ratio with its interval, how much evidence there is, and on how many it rests."""
    word, style = ("better", "green") if goal.better else ("open", "")
    pieces = [Text(word.ljust(_VERDICT), style=style)]
    if goal.variant is not None:
        against = f" against {spaced(goal.control)}" if goal.control is not None else ""
        pieces.append(Text(f"{spaced(goal.variant)}{against}"))
    if goal.ratio is not None:
        between = f" ({goal.interval})" if goal.interval is not None else ""
        pieces.append(Text(f"ratio {goal.ratio}{between}"))
    pieces += [_gauge("winner", goal.evidence, "green")] if goal.evidence is not None else ()
    pieces.append(Text(f"{goal.count:,} and {goal.control_count:,} counted"))
    return pieces


def metric_lines(metric: MetricStatus, column: int, width: int) -> Iterator[Text]:
    """What a metric says, under its name in a column so wide."""
    return _flow(metric.name, _metric(metric), column, width)


def _head(view: View, width: int) -> Iterator[Text]:
    style = next((style for phase, style in _PHASES.items() if phase == view.phase), "bold")
    name = Text.assemble((view.name, "bold"), f" ({view.namespace})")
    state = Text.assemble((view.phase, style), f": {view.reason}" if view.reason and view.reason != view.phase else "")
    advice = Text(view.advice, style="cyan")
    head = Text.assemble(name, "   ", state)
    room = width - head.cell_len - advice.cell_len
    if head.cell_len > width:
        yield name
        yield Text.assemble(_INDENT, state)
    else:
        yield Text.assemble(head, " " * room, advice) if advice and room > len(_GAP) else head
    if advice and room <= len(_GAP):
        yield Text.assemble(_INDENT, advice)


def _sentences(text: str, width: int, style: str = "") -> list[Text]:
    return [Text(_INDENT + line, style=style) for line in wrap(text, width - len(_INDENT))]


@dataclass(frozen=True, slots=True)
class _Table:
    """The revisions, one line each; a note stands behind its line, or below it where there is no room."""

    revisions: tuple[RevisionView, ...]
    label: int
    width: int

    def lines(self) -> Iterator[Text]:
        versions = _widest((found.version for found in self.revisions), most=self.width // 5)
        weights = _widest(f"{found.weight} %" for found in self.revisions)
        ready = _widest(_ready(found) for found in self.revisions)
        room = self.width - len(_INDENT) - self.label - versions - weights - ready - 4 * len(_GAP)
        names = [found.deployment for found in self.revisions]
        if _widest(names) + _SHORT_BAR > room:
            names = [found.revision for found in self.revisions]
        if _widest(names) > room:  # a revision begins with its version
            room, versions = room + versions + len(_GAP), 0
        name = min(_widest(names), room)
        bar = self._bar(room - name)
        for found, text in zip(self.revisions, names, strict=True):
            line = Text.assemble(
                _INDENT,
                (cut(_role(found), self.label - 1).ljust(self.label), _ROLES[found.role]),
                cut(found.version, versions).ljust(versions) + _GAP if versions else "",
                cut(text, name).ljust(name) + _GAP,
                f"{found.weight} %".rjust(weights) + _GAP,
                (_blocks(found.share, bar), _ROLES[found.role]),
                _GAP if bar else "",
                _ready(found).ljust(ready),
            )
            yield from self._noted(line, found.note)

    def _bar(self, room: int) -> int:
        """Width of the bar: it makes room for the notes if some of it is left then."""
        notes = max(len(found.note) for found in self.revisions)
        beside = room - len(_GAP) - notes if notes else room
        bar = min(_BAR, beside if beside >= _SHORT_BAR else room)
        return bar if bar >= _SHORT_BAR else 0

    def _noted(self, line: Text, note: str) -> Iterator[Text]:
        beside = line.cell_len + len(_GAP) + len(note) <= self.width
        if note and beside:
            yield Text.assemble(line, _GAP, (note, "dim"))
            return
        line.rstrip()
        yield line
        indent = _INDENT + " " * self.label
        for part in wrap(note, self.width - len(indent)):
            yield Text(indent + part, style="dim")


def _ready(found: RevisionView) -> str:
    return f"{found.ready_replicas}/{found.replicas} ready"


def _blocks(share: float, width: int) -> str:
    """A share of `width` as blocks; what is not zero shows at least one."""
    filled = max(1, round(share * width)) if share and width else 0
    return ("█" * filled).ljust(width)


def _step(step: StepView) -> Text:
    mark, style = _MARKS[step.state]
    hold = f" {span(step.hold_seconds)}" if step.hold_seconds else ""
    if step.covered_seconds is not None and step.hold_seconds:
        hold = f" {span(min(step.covered_seconds, step.hold_seconds))} of {span(step.hold_seconds)}"
    kinds = ["preview"] if step.preview else ["bake"] if step.bake and step.hold_seconds else []
    if step.approval:
        kinds.append("approved" if step.approved_by else "approval")
    share = f"{step.weight} %" if step.mirror is None else f"mirror {step.mirror} %"
    words = f" {share}{hold}" + (f" ({', '.join(kinds)})" if kinds else "")
    return Text.assemble((mark, style), (words, "bold" if step.state == "Current" else ""))


def _metric(metric: MetricStatus) -> list[Text]:
    """What a metric says, in pieces: the verdict, both rates, the ratio, what was asked, how much was seen, the checks."""
    pieces = [Text(metric.verdict.ljust(_VERDICT), style=_VERDICTS.get(metric.verdict, ""))]
    if metric.candidate is not None:
        slower = f">{metric.effective_threshold}: " if metric.effective_threshold else ""
        against = f" against {spaced(metric.stable)}" if metric.stable is not None else ""
        pieces.append(Text(f"{slower}{spaced(metric.candidate)}{against}"))
    if metric.ratio is not None:
        between = f" ({metric.interval})" if metric.interval is not None else ""
        pieces.append(Text(f"ratio {metric.ratio}{between}"))
    if metric.limit is not None:
        pieces.append(Text(f"limit {spaced(metric.limit)}"))
    pieces += [_gauge("rollback", metric.evidence, "red")] if metric.evidence is not None else ()
    pieces += [_gauge("promote", metric.certificate, "green")] if metric.certificate is not None else ()
    if metric.requests:
        pieces.append(Text(count(metric.requests, "request")))
    if metric.design_effect is not None and metric.design_effect != "1":
        number, _, how = metric.design_effect.partition(" ")
        assumed = " (assumed)" if how.startswith("(assumed") else ""
        pieces.append(Text(f"design effect {number}{assumed}", style="dim"))
    if metric.checks:
        pieces.append(_checks(metric.checks))
    if metric.message and metric.verdict not in _SPEAKS_FOR_ITSELF:
        pieces.append(Text(spaced(metric.message)))
    return pieces


def _gauge(label: str, share: str, style: str) -> Text:
    """How much of what is needed there is: a word, a bar, the figure."""
    part = float(share.removesuffix("%")) / 100
    filled = int(part * 8 * _SHORT_BAR)
    bar = "█" * (filled // 8) + (_EIGHTHS[filled % 8] if filled % 8 or not filled else "")
    return Text.assemble(f"{label} ", (bar.ljust(_SHORT_BAR, "·"), style), f" {spaced(share)}")


def _checks(checks: str) -> Text:
    marks = [(check, "red" if check == "F" else "green") for check in checks]
    return Text.assemble("checks ", *marks)


def _flow(label: str, pieces: list[Text], column: int, width: int, gap: str = "   ") -> Iterator[Text]:
    """Pieces side by side under a label, as many to a line as fit; a piece that is too long for a line is wrapped."""
    if not pieces:
        return
    indent = len(_INDENT) + column
    line = Text(_INDENT + cut(label, column - 1).ljust(column))
    for piece in (part for found in pieces for part in _fitted(found, width - indent)):
        if line.cell_len > indent and line.cell_len + len(gap) + len(piece.plain.rstrip()) > width:
            line.rstrip()
            yield line
            line = Text(" " * indent)
        line = Text.assemble(line, gap if line.cell_len > indent else "", piece)
    line.rstrip()
    yield line


def _fitted(piece: Text, width: int) -> list[Text]:
    if piece.cell_len <= width:
        return [piece]
    return [Text(part, style=piece.style) for part in wrap(piece.plain, width)]


def _words(text: str) -> list[str]:
    """The words of a text; a number and its percent sign are one."""
    return [word.replace("\u00a0", " ") for word in text.replace(" %", "\u00a0%").split(" ") if word]


def wrap(text: str, width: int) -> list[str]:
    """Lines of a text; a number is never parted from its percent sign."""
    joined = text.replace(" %", "\u00a0%")
    lines = textwrap.wrap(joined, width, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]


def _widest(texts: Iterable[str], most: int = 1000) -> int:
    return min(max(len(text) for text in texts), most)


def cut(text: str, width: int) -> str:
    """The text, shortened with an ellipsis where it is too long."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
