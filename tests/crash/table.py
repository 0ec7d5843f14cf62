"""The matrix as a page: how many runs of each kind came to what, and each request with its runs."""

from collections.abc import Iterable, Sequence

from tests.crash.matrix import Share, missed
from tests.crash.story import HOLD, Told
from tests.crash.strike import Kind

INTRODUCTION = """\
# Crash matrix

<!-- Made by `make crash-matrix`; edit tests/crash/table.py instead. -->

Two stories are told to the operator on a real API server, with pods played by kwok and a played Prometheus: version 2 is promoted
(10 % and 50 %, each held for {hold:g} s, then all traffic), or taken back by its error rate. At one request of each run the operator is
killed with SIGKILL, before the API server has the request or after it was carried out, and started again; or the answer to a
write is lost; or it is killed at a write while its watches tell everything a second late. All requests count: discovery, lists, watches,
reads, writes, the lease and Events. In every run the weights in their order, the outcome and the steps held must be those of the
run in which nothing was done to it, no step may be held for less than its hold, and the laws of `tests/harness/laws.py` must hold
over everything that the API server stored.

CI runs another fifth each day; `make crash-matrix` runs all. This page is of {share}.
"""


def page(tellings: Sequence[tuple[Told, Sequence[Told]]], share: Share) -> str:
    """The whole page."""
    parts = [INTRODUCTION.format(hold=HOLD, share=share)]
    parts.append("## Runs\n\n" + _summary(tellings))
    for undisturbed, runs in tellings:
        parts.append(f"## {undisturbed.case.story.capitalize()}, request by request\n\n" + _requests(runs))
    return "\n".join(parts)


def _summary(tellings: Sequence[tuple[Told, Sequence[Told]]]) -> str:
    lines = [
        "| story | what was done | runs | same as undisturbed | not reached | weights | outcome | shortest hold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for undisturbed, runs in tellings:
        for kind in (None, *Kind):
            these = [undisturbed] if kind is None else [run for run in runs if run.case.kind is kind]
            if not these:
                continue
            late = missed(these) if kind else []
            struck = [run for run in these if run not in late]
            well = [run for run in struck if not run.wrong]
            weights = " ".join(f"{version}={weight}" for version, weight in undisturbed.timeline)
            outcome = " ".join(f"{version}={word}" for version, word in undisturbed.outcomes)
            words = kind.value if kind else "nothing"
            lines.append(
                f"| {undisturbed.case.story} | {words} | {len(these)} | {len(well)} | {len(late)} | {weights} | {outcome} "
                f"| {_shortest(these)} |"
            )
    lines += [
        "",
        "*Not reached*: the run asked a little less than the undisturbed one and ended before that request.",
        "",
    ]
    return "\n".join(lines)


def _shortest(runs: Iterable[Told]) -> str:
    holds = [seconds for run in runs for seconds in run.holds.values()]
    return f"{min(holds):.2f} s" if holds else "–"


def _requests(runs: Sequence[Told]) -> str:
    """One line for each request that was struck, in the order in which the operator comes to them."""
    found: dict[str, dict[Kind, list[Told]]] = {}
    for run in sorted((one for one in runs if one.hit), key=lambda one: (one.case.chapter, one.case.number or 0)):
        assert run.hit is not None
        assert run.case.kind is not None
        found.setdefault(run.hit.words, {}).setdefault(run.case.kind, []).append(run)
    lines = [f"| request | {' | '.join(kind.value for kind in Kind)} |", f"|---|{'---|' * len(Kind)}"]
    for words, kinds in found.items():
        cells = [_cell(kinds.get(kind, ())) for kind in Kind]
        lines.append(f"| `{words}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(runs: Sequence[Told]) -> str:
    if not runs:
        return ""
    wrong = [run for run in runs if run.wrong]
    times = f" × {len(runs)}" if len(runs) > 1 else ""
    return f"**wrong**{times}: {wrong[0].wrong[:200]}" if wrong else f"same{times}"
