"""`kubectl modelrollout …`: what people do with a ModelDeployment beyond `kubectl apply`.

A kubectl plugin: kubectl runs `kubectl-modelrollout` from the PATH and hands it the rest of the line. It works with the rights
of the person who calls it, through the same API server, and owns no state: it reads `status`, creates `RolloutCommand` objects
and prints. What it never does is decide; the operator may refuse a command, and then its words are printed.

People wait for a command line, so nothing is imported before it is needed: `--help` loads typer alone.
"""

from __future__ import annotations


def main() -> None:
    """Run the plugin; ends the process with the exit codes of `cli/failures.py`."""
    from .app import run  # noqa: PLC0415  start-up stays quick for whoever imports the package for something else

    run()
