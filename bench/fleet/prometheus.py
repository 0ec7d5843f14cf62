"""The played Prometheus, a process of its own: watches pods and routes, answers the query API, counts what it was asked.

It prints its address in one line and ends with its standard input. Each line of that is one JSON list of revisions
(`[[namespace, model, revision], …]`) which turn bad at once; it answers with a line that says when. `/stats` says how many queries
it answered, how many bytes that made and what CPU it took.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.fleet.traffic import FleetSamples, Pod
from tests.fakes.prometheus import FaultyServer, instant_rows, range_rows
from tests.fakes.promql import QueryError, evaluate
from tests.harness.apiserver import ApiServer
from tests.harness.background import Background
from tests.harness.life import REVISION, carried
from tests.harness.watching import Observer, Sight

MODEL = "modelrollout.dev/deployment"


class Feed:
    """Tells the samples what the API server tells of one namespace."""

    def __init__(self, samples: FleetSamples, namespace: str) -> None:
        self._samples, self._namespace = samples, namespace

    def __call__(self, sight: Sight) -> None:
        now = time.time()
        if sight.kind == "HTTPRoute":
            weights = {} if sight.gone else carried(sight.name, sight.raw)
            self._samples.weigh(self._namespace, sight.name, weights, now)
        elif sight.gone or sight.raw["metadata"].get("deletionTimestamp"):
            self._samples.go(self._namespace, sight.name, now)
        elif _is_ready(sight.raw) and not self._samples.known(self._namespace, sight.name):
            labels = sight.raw["metadata"].get("labels") or {}
            if MODEL in labels and REVISION in labels:
                self._samples.come(Pod(self._namespace, sight.name, labels[MODEL], labels[REVISION], now))


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Answers:
    """Answers queries and counts them."""

    def __init__(self, samples: FleetSamples) -> None:
        self._samples = samples
        self.queries = self.sent = 0

    def __call__(self, handler: Any) -> None:
        parts = urlsplit(handler.path)
        if parts.path == "/stats":
            stats = {"queries": self.queries, "bytes": self.sent, "cpu": time.process_time()}
            handler.answer(200, json.dumps(stats).encode())
            return
        status, body = self._answer({name: values[0] for name, values in parse_qs(parts.query).items()})
        self.queries += 1
        self.sent += len(body)
        handler.double.seen.clear()
        handler.answer(status, body)

    def _answer(self, query: dict[str, str]) -> tuple[int, bytes]:
        try:
            if "time" in query:
                at = float(query["time"])
                value = evaluate(query["query"], self._samples, at)
                kind, rows = ("scalar" if isinstance(value, float) else "vector"), instant_rows(value, at)
            else:
                start, end, step = (float(query[name]) for name in ("start", "end", "step"))
                kind, rows = "matrix", range_rows(query["query"], self._samples, start, end, step)
        except QueryError as error:
            return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": str(error)}).encode()
        return 200, json.dumps({"status": "success", "data": {"resultType": kind, "result": rows}}).encode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet.prometheus")
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("namespaces", nargs="+")
    arguments = parser.parse_args()
    background = Background()
    server, samples = ApiServer(background, arguments.kubeconfig), FleetSamples()
    for namespace in arguments.namespaces:
        Observer(server, namespace, ("Pod", "HTTPRoute"), history=False).listen(Feed(samples, namespace))
    with FaultyServer(samples) as double:
        double.fault = Answers(samples)
        print(double.url, flush=True)
        for line in sys.stdin:
            now = time.time()
            for namespace, model, revision in json.loads(line):
                samples.turn_bad(namespace, model, revision, now)
            print(now, flush=True)


if __name__ == "__main__":
    main()
