"""One ModelDeployment's life in a namespace of its own: a person, the operator, a gateway, and an observer of it all.

Every wait is on something that the API server has stored. What a life has gone through is judged at its end by
`tests.harness.laws`.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.api.kubectl import Kubectl
from tests.harness.apiserver import Json, Objects
from tests.harness.gateway import Gateway
from tests.harness.process import Operator
from tests.harness.specs import model
from tests.harness.watching import PATIENCE, Observer

REVISION = "modelrollout.dev/revision"
BEHAVIOR = "modelrollout.dev/kwok-behavior"

Condition = Callable[[Json], Any]


@dataclass
class Life:
    kubectl: Kubectl
    objects: Objects
    observer: Observer
    gateway: Gateway
    operator: Operator
    name: str = "fraud"
    excused: set[str] = field(default_factory=set)
    """Names of laws that this life breaks on purpose, from outside."""

    @property
    def namespace(self) -> str:
        return self.kubectl.namespace

    # What a person does

    def apply(self, version: str = "1", /, **fields: Any) -> Json:
        """Apply a version, as a bot that uses server-side apply does."""
        return self.objects.apply(model(version, name=self.name, **fields), manager="team")

    def edit(self, **spec: Any) -> Json:
        """Merge fields into the spec."""
        return self.objects.patch("ModelDeployment", self.name, {"spec": spec}, manager="team")

    def command(self, action: str, step: str | None = None, revision: str | None = None, **fields: str) -> str:
        """Ask for something; returns the command's name."""
        status = self.status
        if revision is None:
            candidate = status.get("rollout") or {}
            revision = candidate.get("revision") or self.role("Stable")["revision"]
        spec = {"target": self.name, "action": action, "revision": revision, "by": "alice", **fields}
        if step is not None:
            spec["step"] = step
        name = f"{self.name}-{uuid.uuid4().hex[:6]}"
        manifest = {"apiVersion": "modelrollout.dev/v1alpha1", "kind": "RolloutCommand"}
        self.objects.create(manifest | {"metadata": {"name": name}, "spec": spec}, manager="alice")
        return name

    def outcome(self, command: str) -> Json:
        """What became of a command."""

        def taken() -> Json | None:
            status: Json = (self.observer.now("RolloutCommand", command) or {}).get("status") or {}
            return status if status.get("outcome") else None

        found: Json = self.observer.until(taken, f"command {command} is taken")
        return found

    def accepted(self, action: str, step: str | None = None, **fields: str) -> None:
        """Ask for something that must be accepted."""
        outcome = self.outcome(self.command(action, step, **fields))
        assert outcome["outcome"] == "Accepted", outcome

    def refused(self, action: str, step: str | None = None, **fields: str) -> str:
        """Ask for something that must be refused; returns why."""
        outcome = self.outcome(self.command(action, step, **fields))
        assert outcome["outcome"] == "Refused", outcome
        return str(outcome["message"])

    # What is seen

    @property
    def resource(self) -> Json:
        found = self.observer.now("ModelDeployment", self.name)
        assert found is not None, f"{self.name} does not exist"
        return found

    @property
    def status(self) -> Json:
        found: Json = self.resource.get("status") or {}
        return found

    @property
    def message(self) -> str:
        return str(self.status.get("message", ""))

    def until(self, condition: Condition, what: str, seconds: float = PATIENCE) -> Json:
        """Wait until the status is so; returns it."""

        def found() -> Json | None:
            raw = self.observer.now("ModelDeployment", self.name)
            status: Json | None = (raw or {}).get("status")
            return status if status and condition(status) else None

        try:
            status: Json = self.observer.until(found, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.told()}") from None
        return status

    def told(self) -> str:
        """The state in a few words, for failures."""
        raw = self.observer.now("ModelDeployment", self.name)
        status = (raw or {}).get("status") or {}
        versions = [
            f"{one['version']} {one['role']} {one['weight']} % {one['readyReplicas']}/{one['replicas']}"
            for one in status.get("revisions", ())
        ]
        return f"{status.get('phase')}: {status.get('message')} {versions}"

    def reason(self, *reasons: str, seconds: float = PATIENCE) -> Json:
        """Wait for one of these reasons."""
        return self.until(lambda status: status["summary"]["reason"] in reasons, f"reason {reasons}", seconds)

    def healthy(self, version: str, seconds: float = PATIENCE) -> Json:
        """Wait until a version carries all traffic and the generation was seen."""

        def settled(status: Json) -> bool:
            return (
                status["observedGeneration"] == self.resource["metadata"]["generation"]
                and status["phase"] == "Healthy"
                and status["summary"]["stable"] == version
                and not status["summary"]["candidate"]
                and conditions(status)["Ready"]["status"] == "True"
            )

        return self.until(settled, f"version {version} is healthy", seconds)

    def waits(self, step: str) -> Json:
        """Wait until a step waits for its approval."""
        return self.until(
            lambda status: status["summary"]["reason"] == "ApprovalRequired" and status["step"]["name"] == step,
            f"step {step} waits for approval",
        )

    def taken_back(self, version: str, phase: str = "RolledBack") -> Json:
        """Wait until a version was taken back and all traffic is on stable."""

        def back(status: Json) -> bool:
            rejected = [entry["version"] for entry in status["rejected"]]
            return version in rejected and status["phase"] == phase and not status["summary"]["candidate"]

        return self.until(back, f"version {version} is {phase}")

    def role(self, role: str) -> Json:
        """The entry of the revision with this role."""
        return next(entry for entry in self.status["revisions"] if entry["role"] == role)

    def revision(self, version: str) -> str:
        """The revision of a version that the status knows."""
        known = [*self.status["revisions"], *self.status["history"], *self.status["rejected"]]
        return next(str(entry["revision"]) for entry in known if entry["version"] == version)

    def deployment(self, version: str) -> str:
        """The name of the Deployment of a version."""
        return f"{self.name}-{self.revision(version)}"

    def pods(self, version: str) -> dict[str, Json]:
        """Live pods of a version by uid."""
        revision = self.revision(version)
        return {
            pod["metadata"]["uid"]: pod
            for pod in self.observer.all("Pod")
            if pod["metadata"].get("labels", {}).get(REVISION) == revision
            and not pod["metadata"].get("deletionTimestamp")
        }

    def pods_are(self, version: str, count: int) -> dict[str, Json]:
        """Wait until a version has so many live pods."""
        self.observer.until(lambda: len(self.pods(version)) == count, f"version {version} has {count} pods")
        return self.pods(version)

    def behave(self, version: str, behavior: str) -> None:
        """Have the live pods of a version behave otherwise."""
        for pod in self.pods(version).values():
            body = {"metadata": {"annotations": {BEHAVIOR: behavior}}}
            self.objects.patch("Pod", pod["metadata"]["name"], body, manager="kubelet")

    def down(self, version: str) -> None:
        """Have all live pods of a version become unready, and wait until the operator knows of all of them."""
        self.behave(version, "never-ready")
        revision = self.revision(version)

        def all_of_them(status: Json) -> bool:
            return any(one["revision"] == revision and not one["readyReplicas"] for one in status["revisions"])

        self.until(all_of_them, f"version {version} has no ready pod")

    def route(self) -> dict[str, int]:
        """What the route carries, revision → basis points."""
        return carried(self.name, self.observer.now("HTTPRoute", self.name))

    def carries(self, *, seconds: float = PATIENCE, **shares: float) -> None:
        """Wait until the route carries these percentages: `carries(v1=90, v2=10)`."""
        wanted = {name.removeprefix("v"): round(100 * share) for name, share in shares.items() if share}

        def so() -> bool:
            return {revision.rsplit("-", 1)[0]: weight for revision, weight in self.route().items() if weight} == wanted

        self.observer.until(so, f"the route carries {wanted}", seconds)

    def timeline(self) -> list[tuple[str, Any]]:
        """All weights that were set: version slug and percent."""
        return [(entry["revision"].rsplit("-", 1)[0], entry["weight"]) for entry in self.status["timeline"]]

    def events(self) -> dict[str, str]:
        """The Events of all ModelDeployments as kubectl shows them, reason → type."""
        items = json.loads(self.kubectl.ok("get", "events", "-o", "json"))["items"]
        return {item["reason"]: item["type"] for item in items if item["involvedObject"]["kind"] == "ModelDeployment"}

    def outcomes(self) -> list[tuple[str, str]]:
        return [(entry["version"], entry["outcome"]) for entry in self.status["history"]]

    def gone(self, kind: str, name: str) -> None:
        """Wait until an object is gone."""
        self.observer.until(lambda: self.observer.now(kind, name) is None, f"{kind} {name} is gone")

    def ready(self, version: str, count: int) -> None:
        """Wait until the Deployment of a version has so many ready pods."""

        def so() -> bool:
            found = self.observer.now("Deployment", self.deployment(version)) or {}
            return bool((found.get("status") or {}).get("readyReplicas", 0) == count)

        self.observer.until(so, f"version {version} has {count} ready pods")

    def sentinel(self) -> None:
        """Have the operator work on another resource and wait for that: what was queued before has been looked at.

        Status is written before it is acted upon, and keys are worked on side by side; so wait for the end of all of it, too.
        """
        name = f"sentinel-{uuid.uuid4().hex[:6]}"
        self.objects.create(model(name=name, server={"runtime": "Unknown"}))
        seen = partial(self.observer.now, "ModelDeployment", name)
        self.observer.until(lambda: (seen() or {}).get("status"), "the sentinel is seen")
        self.objects.delete("ModelDeployment", name)
        self.gone("ModelDeployment", name)
        self.observer.until(self.operator.idle, "the operator is idle")

    def versions(self) -> dict[tuple[str, str], int]:
        """The resourceVersion of everything, save of sentinels and pods."""
        return {
            (sight.kind, sight.name): sight.version
            for sight in self.observer.history()
            if not sight.name.startswith("sentinel-") and sight.kind != "Pod"
        }

    # Longer stretches

    def begin(self, version: str = "1", /, **fields: Any) -> Json:
        """Start the operator and bring a first version up."""
        self.apply(version, **fields)
        if not self.operator.running:
            self.operator.start(wait=False)
        return self.healthy(version)

    def promote(self, version: str, /, **fields: Any) -> Json:
        """Bring a version through its approved steps."""
        self.apply(version, **fields)
        for step in ("tenth", "half"):
            self.waits(step)
            self.accepted("Approve", step)
        return self.healthy(version)


def conditions(status: Json) -> dict[str, Json]:
    """By type."""
    return {condition["type"]: condition for condition in status.get("conditions", ())}


def carried(name: str, route: Json | None) -> dict[str, int]:
    """The weights of the rule without a header match, revision → basis points."""
    for rule in (route or {}).get("spec", {}).get("rules", ()):
        if not any(match.get("headers") for match in rule.get("matches", ())):
            return {backend["name"].removeprefix(f"{name}-"): backend["weight"] for backend in rule["backendRefs"]}
    return {}


def steadily(life: Life, condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Hold for so long that a condition stays true at everything that is seen meanwhile."""
    end = time.monotonic() + seconds

    def over() -> bool:
        assert condition(), what
        return time.monotonic() > end

    life.observer.until(over, what, seconds=seconds + 30)
