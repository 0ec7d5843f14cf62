"""The commands, as typer reads them: names, arguments, help. Each hands over to a module that is loaded only then."""

# ruff: noqa: PLC0415 - see above: start-up is a promise

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from modelrollout import __version__

from .choices import Format, Goal, Listing, Report
from .failures import ExitCode
from .frame import Call, Context, Debug, Kubeconfig, Namespace, command
from .kubeconfig import Options
from .out import complain

PROGRAM = "kubectl modelrollout"

app = typer.Typer(
    name=PROGRAM,
    help="Put new versions of models into production: see a rollout, approve it, take it back.",
    epilog="Exit codes: 0 done; 1 refused, taken back, failed or invalid; 2 wait: time is up; 3 command not taken in time; "
    "4 could not be asked (no connection, not found, not allowed); 64 wrong command line; 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Name = Annotated[str, typer.Argument(help="Name of the ModelDeployment.", metavar="NAME")]
Why = Annotated[str | None, typer.Option("--reason", "-r", help="Why, for the record.", metavar="TEXT")]
Variant = Annotated[
    str | None, typer.Option("--variant", help="Of an A/B test: the variant that is meant.", metavar="VARIANT")
]
Patience = Annotated[
    str, typer.Option("--timeout", help="How long to wait for the operator to take the command.", metavar="DURATION")
]
Output = Annotated[
    Format | None, typer.Option("--output", "-o", help="Print a document for machines.", metavar="json|yaml")
]


@app.callback(invoke_without_command=True)
def _before(  # noqa: PLR0913  one parameter an option
    ctx: typer.Context,
    *,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    debug: Debug = False,
    version: Annotated[bool, typer.Option("--version", help="Print the plugin's version.")] = False,
) -> None:
    ctx.obj = Options(namespace, context, kubeconfig, debug)
    if version:
        typer.echo(f"kubectl-modelrollout {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit


@app.command()
@command
async def get(
    call: Call,
    names: Annotated[list[str] | None, typer.Argument(help="Only these.", metavar="[NAME]...")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    labels: Annotated[
        str, typer.Option("--selector", "-l", help="Only those with these labels.", metavar="LABELS")
    ] = "",
    output: Annotated[
        Listing | None,
        typer.Option("--output", "-o", help="Another form than the table.", metavar="wide|name|json|yaml"),
    ] = None,
) -> ExitCode:
    """List ModelDeployments in a table.

    As kubectl get modeldeployments: versions, weight, step and state in one line each.
    """
    from . import listing

    async with call.connect() as cluster:
        return await listing.get(cluster, names or (), everywhere=everywhere, labels=labels, output=output)


@app.command()
@command
async def status(
    call: Call,
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show every change until Ctrl-C.")] = False,
    output: Output = None,
) -> ExitCode:
    """Show a rollout and what comes next.

    Versions, their shares of traffic, steps, metrics, and the command that fits the state.
    """
    from . import showing

    async with call.connect() as cluster:
        return await showing.status(cluster, name, output, watch=watch)


@app.command()
@command
async def approve(call: Call, name: Name, reason: Why = None, within: Patience = "10s") -> ExitCode:
    """Approve the end of the current step.

    It may come early: the step still needs its hold and its metrics.
    """
    return await _ask(call, name, "Approve", reason, within)


@app.command()
@command
async def pause(call: Call, name: Name, reason: Why = None, within: Patience = "10s") -> ExitCode:
    """Hold the rollout where it is.

    A failing candidate is still taken back.
    """
    return await _ask(call, name, "Pause", reason, within)


@app.command()
@command
async def resume(call: Call, name: Name, reason: Why = None, within: Patience = "10s") -> ExitCode:
    """Let a paused rollout go on."""
    return await _ask(call, name, "Resume", reason, within)


@app.command()
@command
async def abort(
    call: Call, name: Name, reason: Why = None, within: Patience = "10s", variant: Variant = None
) -> ExitCode:
    """Take the candidate back now.

    All its traffic goes to the stable version. It stays rejected until it is retried. An A/B test ends; with --variant that
    one alone is taken out of it.
    """
    return await _ask(call, name, "Abort", reason, within, variant)


@app.command()
@command
async def retry(
    call: Call, name: Name, reason: Why = None, within: Patience = "10s", variant: Variant = None
) -> ExitCode:
    """Try a rejected version again.

    The version that the spec asks for and that was taken back: from its first step, with fresh evidence. In an A/B test, the
    variant that was taken out.
    """
    return await _ask(call, name, "Retry", reason, within, variant)


@app.command()
@command
async def promote(
    call: Call, name: Name, reason: Why = None, within: Patience = "10s", variant: Variant = None
) -> ExitCode:
    """Skip the remaining steps.

    The candidate gets all traffic as soon as all its pods are ready. In an A/B test, the variant that --variant names, and the
    test ends.
    """
    return await _ask(call, name, "Promote", reason, within, variant)


@app.command()
@command
async def undo(call: Call, name: Name, reason: Why = None, within: Patience = "10s") -> ExitCode:
    """Go back to the version before.

    Without steps, once its pods are ready. The version that was stable stays rejected until it is retried.
    """
    return await _ask(call, name, "Undo", reason, within)


@app.command()
@command
async def restart(call: Call, name: Name) -> ExitCode:
    """Replace the pods, without a rollout.

    Of all versions that have traffic, within the limits of their Deployments, with your own rights.
    """
    from .restart import restart as run

    async with call.connect() as cluster:
        return await run(cluster, name, time.time())


@app.command()
@command
async def history(call: Call, name: Name, output: Output = None) -> ExitCode:
    """Show the recent past.

    Rollouts that have ended, weights that were set, and commands that were taken.
    """
    from .history import history as run

    async with call.connect() as cluster:
        return await run(cluster, name, output)


@app.command()
@command
async def report(  # noqa: PLR0913  one parameter an option
    call: Call,
    name: Name,
    *,
    output: Annotated[
        Report,
        typer.Option(
            "--output", "-o", help="For a terminal, a browser or paper, or machines.", metavar="text|html|json"
        ),
    ] = Report.TEXT,
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="Of this revision or version. Default: under way, else the last.", metavar="R"),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", help="Read the curves back from there.", metavar="URL")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="The operator's settings file.", metavar="FILE")
    ] = None,
) -> ExitCode:
    """Show the record of one rollout.

    Which version against which, how it ended and why, its weights, what the metrics said, and who had a hand in it. With
    --prometheus also rates, requests and evidence over time, as far as that still knows them; in HTML with plots, in one
    file that needs nothing else. --settings is needed only where those name other labels or runtimes than usual.
    """
    from .manifests import settings as known
    from .report import Wanted
    from .report import report as run

    wanted = Wanted(revision, output, prometheus, known(settings))
    async with call.connect() as cluster:
        return await run(cluster, name, wanted)


@app.command()
@command
async def wait(
    call: Call,
    name: Name,
    within: Annotated[
        str, typer.Option("--timeout", help="How long to wait, such as 90s, 30m or 2d.", metavar="DURATION")
    ] = "30m",
    goal: Annotated[
        Goal,
        typer.Option("--for", help="Which end: promoted, or paused (a person has to look).", metavar="promoted|paused"),
    ] = Goal.PROMOTED,
) -> ExitCode:
    """Wait until a rollout has ended.

    Until the version that the spec asks for now is promoted (exit code 0), or it is certain that it will not be: taken
    back, failed, replaced by another (1). At most as long as --timeout says (2). Prints a line at each change.
    """
    from .durations import seconds
    from .waiting import wait as run

    patience = seconds("--timeout", within)
    async with call.connect() as cluster:
        return await run(cluster, name, goal, patience)


@app.command()
@command
async def render(
    call: Call,
    file: Annotated[
        Path, typer.Option("--filename", "-f", help="File with ModelDeployments; - is standard input.", metavar="FILE")
    ],
    settings: Annotated[
        Path | None, typer.Option("--settings", help="The operator's settings file.", metavar="FILE")
    ] = None,
) -> ExitCode:
    """Print the objects that a spec makes.

    Or what is wrong with it, in the operator's words (exit code 1). Needs no cluster. Without --settings the built-in
    runtimes are known, and the metrics provider that the spec names is taken to be set up.
    """
    from .render import render as run

    return run(file, settings, call.options.namespace)


@app.command()
@command
async def plan(  # noqa: PLR0913  one parameter an option
    call: Call,
    *,
    file: Annotated[
        Path, typer.Option("--filename", "-f", help="File with ModelDeployments; - is standard input.", metavar="FILE")
    ],
    rps: Annotated[float, typer.Option("--rps", help="Requests per second, of all versions together.", metavar="R")],
    error_rate: Annotated[
        str, typer.Option("--error-rate", help="Share of errors that stable has now, such as 0.5%.", metavar="P")
    ],
    slow_share: Annotated[
        str | None,
        typer.Option(
            "--slow-share", help="Share of requests slower than the latency threshold, such as 2%.", metavar="P"
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="The operator's settings file.", metavar="FILE")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is a warning.")] = False,
    output: Output = None,
) -> ExitCode:
    """Show what the steps of a spec will see.

    For each step: the smallest regression that is seen within its hold, and how long twice, five and ten times as many
    errors would take. For all steps: when a healthy version is certified. Warns where a step is too short or too thin, and
    says what would help. Needs no cluster.
    """
    from .manifests import manifests
    from .manifests import settings as known
    from .planning import given
    from .planning import plan as run

    traffic = given(rps, error_rate, slow_share)
    return run(manifests(file, call.options.namespace), known(settings), traffic, output, strict=strict)


async def _ask(  # noqa: PLR0913, PLR0917  what a command line says
    call: Call, name: str, action: str, reason: str | None, within: str, variant: str | None = None
) -> ExitCode:
    from modelrollout.api.command import Action

    from .asking import ask
    from .durations import seconds

    patience = seconds("--timeout", within)
    async with call.connect() as cluster:
        return await ask(cluster, name, Action(action), reason=reason, patience=patience, variant=variant)


def run(arguments: list[str] | None = None) -> None:
    """Run the plugin and end the process. A wrong command line is one line, too, and has an exit code of its own."""
    try:
        code = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say, not even at exit.
        sys.stderr.close()
        sys.exit(ExitCode.NO)
    except Exception as error:
        words = getattr(error, "format_message", None)
        if words is None:
            raise
        complain(f"error: {words()} ({PROGRAM} --help)")
        sys.exit(ExitCode.USAGE)
    sys.exit(code or ExitCode.DONE)
