"""Runs the matrix and writes it down: `python -m tests.crash [--share N] [--write FILE]`."""

import argparse
import sys
import time
from pathlib import Path

from tests.api.kubectl import connect
from tests.crash.matrix import SHARES, Share, missed, play
from tests.crash.story import STORIES, Theatre, Told
from tests.crash.table import page
from tests.harness.apiserver import ApiServer
from tests.harness.background import Background
from tests.harness.nursery import Nursery


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--share", type=int, choices=range(1, SHARES + 1), help="one of the parts; default: all")
    parser.add_argument("--story", choices=STORIES, action="append", help="default: both")
    parser.add_argument("--side-by-side", type=int, default=8, help="operators at a time")
    parser.add_argument("--write", type=Path, help="write the table here")
    options = parser.parse_args()
    share = Share(options.share - 1 if options.share else None)
    kubectl = connect()
    background = Background()
    server = ApiServer(background, Path(kubectl.environment["KUBECONFIG"]))
    tellings = []
    try:
        with Nursery() as nursery:
            theatre = Theatre(server, kubectl, nursery)
            for story in options.story or STORIES:
                began = time.monotonic()
                undisturbed, runs = play(theatre, story, share, options.side_by_side, _say)
                tellings.append((undisturbed, runs))
                seconds = time.monotonic() - began
                _out(f"{story}: {len(runs)} runs of {share} in {seconds:.0f} s")
    finally:
        server.close()
        background.close()
    if options.write:
        options.write.write_text(page(tellings, share))
    wrong = [run for _, runs in tellings for run in runs if run.wrong]
    _out(f"{sum(len(runs) for _, runs in tellings)} runs, {len(wrong)} wrong")
    _out(f"{sum(len(missed(runs)) for _, runs in tellings)} ended before the request that was to be struck")
    return 1 if wrong else 0


def _say(run: Told) -> None:
    what = run.hit.words if run.hit else "(not reached)"
    kind = run.case.kind.value if run.case.kind else ""
    _out(f"{run.seconds:5.1f} s  {kind}: {what}: {run.wrong or 'same'}")


def _out(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
