"""The frame around every command: the options that all share, the event loop, the one line of an error, the exit code.

A command is an async function that takes a `Call` first and its own arguments after it; `command` adds the shared options to
its signature (typer reads signatures), so that `-n`, `--context`, `--kubeconfig` and `--debug` stand before or behind the
command's name, as kubectl's users expect.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import ExitCode, explain
from .kubeconfig import Options
from .out import complain

if TYPE_CHECKING:
    from .cluster import Cluster

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Default: the context's.", metavar="NAMESPACE")
]
Context = Annotated[
    str | None, typer.Option("--context", help="Of the kubeconfig; default: the current one.", metavar="CONTEXT")
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", help="Default: $KUBECONFIG, else ~/.kube/config.", metavar="FILE")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

SHARED: dict[str, tuple[Any, Any]] = {
    "namespace": (Namespace, None),
    "context": (Context, None),
    "kubeconfig": (Kubeconfig, None),
    "debug": (Debug, False),
}
_CTX = "ctx"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the plugin: its options, and the way to the cluster for commands that need one."""

    options: Options

    def connect(self) -> AbstractAsyncContextManager[Cluster]:
        """Connect as the options say."""
        from . import cluster  # noqa: PLC0415  the client library takes half a second, which `--help` and `render` do not need

        return cluster.connect(self.options)


Action = Callable[..., Awaitable[ExitCode]]


def command(action: Action) -> Callable[..., None]:
    """Make a typer command of an async function: run it, print its error as one line, exit with its code."""
    own = inspect.signature(action, eval_str=True)

    @functools.wraps(action)
    def run(**given: Any) -> None:
        ctx: typer.Context = given.pop(_CTX)
        options = Options(**{name: given.pop(name) for name in SHARED})
        if isinstance(ctx.obj, Options):
            options = options.over(ctx.obj)
        raise typer.Exit(int(_run(action, Call(options), given)))

    parameters = list(own.parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter(_CTX, keyword, annotation=typer.Context)
    shared = [
        inspect.Parameter(name, keyword, default=default, annotation=hint) for name, (hint, default) in SHARED.items()
    ]
    every = [context, *(parameter.replace(kind=keyword) for parameter in parameters), *shared]
    run.__signature__ = own.replace(parameters=every, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return run


def _run(action: Action, call: Call, given: dict[str, Any]) -> ExitCode:
    try:
        return asyncio.run(_awaited(action, call, given))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        failure = explain(error)
        if failure is None or call.options.debug:
            raise
        complain(f"error: {failure}")
        return failure.code


async def _awaited(action: Action, call: Call, given: dict[str, Any]) -> ExitCode:
    return await action(call, **given)
