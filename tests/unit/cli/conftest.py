"""Runs the plugin as from a shell, against a cluster in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

import modelrollout.cli.cluster
from modelrollout.cli.app import app
from modelrollout.cli.kubeconfig import Options
from tests.unit.cli.cluster import FakeCluster


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch) -> Callable[..., Said]:
    """`run(cluster, "status", "fraud")` → exit code, standard output, standard error."""

    def call(cluster: FakeCluster | None, *words: str, stdin: str | None = None) -> Said:
        @asynccontextmanager
        async def connect(options: Options) -> Any:
            assert cluster is not None, "this command needs no cluster"
            cluster.namespace = options.namespace or cluster.namespace
            yield cluster

        monkeypatch.setattr(modelrollout.cli.cluster, "connect", connect)
        result = CliRunner().invoke(app, list(words), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return call
