"""The script: four versions of one model, each applied with kubectl, watched with kubectl, and held to what was promised.

One watch runs in every act: its news make the table that a person would have open in a second terminal, and decide when the
act is over. Traffic never stops in between, so what users met in an act is counted over exactly that act.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from demo.kube import Json, Kube, NotAsPromisedError, Sight
from demo.places import HOST, MANIFESTS, MODEL, REQUESTS_PER_SECOND, folder
from demo.screen import Screen
from demo.stage import Stage
from demo.table import Table
from demo.traffic import Tally, Traffic
from tests.load import BODY

REVISION = "modelrollout.dev/revision"
LOADING = 180.0
"""Seconds that the first pods may take; the machine may be busy."""
PATIENCE = 240.0
"""Seconds that one act may take at most."""


@dataclass
class Story:
    """Plays the acts in order; each raises NotAsPromisedError when it does not end as it should."""

    stage: Stage
    kube: Kube
    screen: Screen
    traffic: Traffic

    def first_version(self) -> None:
        """Version 1 serves, and users come."""
        with self._act("Version 1, the first one", 1, expected=15) as act:
            act.until(lambda found: _serves(found, "1"), "version 1 serves all traffic", LOADING)
            self._first_answer()
            self.traffic.start()
        self._say(f"✓ Version 1 serves. From now on users send {REQUESTS_PER_SECOND} requests a second to {HOST}.")

    def good_version(self) -> None:
        """Version 2 is promoted, without a failed request and without a restarted pod."""
        with self._act("Version 2, a healthy one: watch it promoted", 2, expected=80) as act:
            act.until(lambda found: _weight(found) == 100, "version 2 gets all traffic", PATIENCE)  # noqa: PLR2004
            candidate = self._pods("2")
            act.until(lambda found: _serves(found, "2"), "version 2 is promoted", PATIENCE)
        met = act.met()
        if self._pods("2") != candidate:
            raise NotAsPromisedError("the pods of version 2 are not those that served as candidate")
        if met.failed:
            raise NotAsPromisedError(f"users met failures while version 2 was promoted: {met}")
        self._say(f"✓ Promoted after {act.seconds():.0f} s: {met}. Its pods serve on, none was restarted.")

    def bad_version(self, number: int, title: str, metric: str) -> None:
        """A version that must be taken back because of a metric, while version 2 serves on."""
        with self._act(f"Version {number}, {title}: watch it taken back", number, expected=35) as act:
            found = act.until(lambda found: _ended(found, str(number)), f"version {number} is taken back", PATIENCE)
            act.sight.until(lambda found: found["status"]["phase"] != "RollingBack", "it is over", PATIENCE)
        met = act.met()
        ending, status = found["status"]["history"][-1], found["status"]
        if ending["outcome"] != "RolledBack" or metric not in ending["message"] or status["summary"]["stable"] != "2":
            raise NotAsPromisedError(f"version {number} should have been taken back for its {metric}: {ending}")
        self._say(f"✓ Taken back after {act.seconds():.0f} s: {met}. Version 2 serves all traffic.")

    @contextmanager
    def _act(self, title: str, number: int, *, expected: float) -> Iterator["Act"]:
        """Apply a version and follow it until the block ends, then tell the Events that came meanwhile."""
        manifest, line, began = self._manifest(number), self.screen.line, datetime.now(UTC)
        with self.screen.act(title, expected=expected, live=self.traffic.now):
            act = Act(self.traffic, str(number))
            line(f"$ kubectl apply -f {_short(manifest)}")
            act.generation = self.kube.apply(manifest)["metadata"]["generation"]
            line("$ kubectl get modeldeployments --watch")
            with act.sight.of(self.kube, "modeldeployments", MODEL, on_news=Table(line)):
                yield act
            line(f"$ kubectl events --for modeldeployment/{MODEL}")
            for event in self._events():
                if _last_seen(event) >= began:
                    line(f"{event['type']:<8} {event['reason']:<17} {event['message']}")

    def _events(self) -> list[Json]:
        of = f"involvedObject.kind=ModelDeployment,involvedObject.name={MODEL}"
        items: list[Json] = self.kube.read("events", "--field-selector", of)["items"]
        return sorted(items, key=_last_seen)

    def _manifest(self, number: int) -> Path:
        """The file as it lies there; on a cluster with another gateway or registry, a copy that names those."""
        file = MANIFESTS / f"version-{number}.yaml"
        document: dict[str, Any] = yaml.safe_load(file.read_text())
        spec, gateway = document["spec"], self.stage.info.gateway
        assert gateway is not None
        spec["server"]["image"] = self.stage.image(spec["server"]["image"])
        spec["traffic"]["gateway"]["parentRefs"] = [{"name": gateway.name, "namespace": gateway.namespace}]
        if document == yaml.safe_load(file.read_text()):
            return file
        copy = folder() / file.name
        copy.write_text(yaml.safe_dump(document, sort_keys=False))
        return copy

    def _first_answer(self) -> None:
        assert self.stage.info.gateway is not None
        url, deadline = f"{self.stage.info.gateway.url}/predict", time.monotonic() + 30
        headers = {"Host": HOST, "Content-Type": "application/json"}
        while True:
            try:
                request = urllib.request.Request(url, json.dumps(BODY).encode(), headers)  # noqa: S310 - our gateway
                urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
            except (urllib.error.URLError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise NotAsPromisedError(f"the gateway does not answer for {HOST}: {error}") from error
                time.sleep(0.2)
            else:
                return

    def _pods(self, version: str) -> frozenset[str]:
        """UIDs of a version's living pods."""
        pods = self.kube.read("pods", "-l", f"modelrollout.dev/deployment={MODEL}")["items"]
        mine = (pod for pod in pods if pod["metadata"]["labels"][REVISION].startswith(f"{version}-"))
        return frozenset(pod["metadata"]["uid"] for pod in mine if "deletionTimestamp" not in pod["metadata"])

    def _say(self, text: str) -> None:
        self.screen.line(text, style="bold")


class Act:
    """One version from its apply on: how long, what users met, and its object as it is now."""

    def __init__(self, traffic: Traffic, version: str) -> None:
        self.sight, self._version = Sight(), version
        self.generation = 0
        self._traffic, self._before, self._began = traffic, traffic.so_far(), time.monotonic()
        self._ended, self._met = self._began, Tally()

    def until(self, condition: Callable[[Json], bool], what: str, seconds: float) -> Json:
        """Wait for what this apply has led to; the act counts until here. Raises NotAsPromisedError, at once if it ended."""

        def current(found: Json) -> bool:
            status = found.get("status") or {}
            if status.get("observedGeneration", 0) < self.generation:
                return False
            return condition(found) or _ended(found, self._version)

        found = self.sight.until(current, what, seconds)
        if not condition(found):
            raise NotAsPromisedError(f"expected that {what}. Its status says: {found['status']['message']}")
        self._ended, self._met = time.monotonic(), self._traffic.so_far() - self._before
        return found

    def met(self) -> Tally:
        """What users met."""
        return self._met

    def seconds(self) -> float:
        """How long it took."""
        return self._ended - self._began


def _last_seen(event: Json) -> datetime:
    """Events that repeat are one object, whose series tells of the last time."""
    series = event.get("series") or {}
    at = series.get("lastObservedTime") or event.get("eventTime") or event.get("lastTimestamp")
    return datetime.fromisoformat(at or event["metadata"]["creationTimestamp"])


def _short(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _serves(found: Json, version: str) -> bool:
    status = found["status"]
    return bool(status["phase"] == "Healthy" and status["summary"]["stable"] == version and not _candidate(found))


def _ended(found: Json, version: str) -> bool:
    history = found["status"].get("history") or [{}]
    return history[-1].get("version") == version and not _candidate(found)


def _candidate(found: Json) -> Json | None:
    return next((one for one in found["status"].get("revisions", ()) if one["role"] == "Candidate"), None)


def _weight(found: Json) -> float:
    candidate = _candidate(found)
    return float(str(candidate["weight"]).rstrip("%")) if candidate else 0.0
