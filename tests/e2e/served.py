"""One ModelDeployment on real pods: a `Life` with a real gateway, the real model server, and a clock of what was seen when."""

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.contract import GatewayInfo
from tests.harness.life import Life, carried
from tests.harness.watching import Sight
from tests.load import BODY

Json = dict[str, Any]

REVISION_HEADER = "x-model-revision"
QUICK = {"lookback": "6s", "failures": 2, "of": 3}
"""Two failed checks of three, each over 6 s: 20 % errors against a limit of 5 % are found within seconds."""
EPOCH = time.time() - time.monotonic()
"""From the clock of `Sight.at` to seconds since the epoch, which answers carry."""


def metrics(threshold: Json | None = None) -> list[Json]:
    """At most 5 % errors, at most 20 % slower than 1 s, by checks: for what is not about the judge."""
    common = {"minimumSampleSize": 20, "method": "Threshold", "threshold": threshold or QUICK}
    return [
        {"name": "errors", "errorRate": {}, "limit": "5%"} | common,
        {"name": "latency", "latency": {"threshold": "1s"}, "limit": "20%"} | common,
    ]


@dataclass
class Served(Life):
    gateway: None = None  # type: ignore[assignment] # the real one is the cluster's
    operator: None = None  # type: ignore[assignment] # so is the operator
    gateway_info: GatewayInfo | None = None

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example.com"

    def spec(self, version: str, *, env: dict[str, str] | None = None, image: str = "", **fields: Any) -> Json:
        """A healthy version of two pods behind the gateway, judged as in the demo. `fields` go over it."""
        assert self.gateway_info is not None
        server: Json = {
            "image": image or f"modelrollout/model-server:{1 if version == '1' else 2}",
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},  # without, others starve it
        }
        if env:
            server["env"] = [{"name": key, "value": text} for key, text in env.items()]
        parent = {"name": self.gateway_info.name, "namespace": self.gateway_info.namespace}
        found: Json = {
            "version": version,
            "server": server,
            "replicas": 2,
            "traffic": {"gateway": {"parentRefs": [parent], "hostnames": [self.host]}},
            "rollout": {"steps": [{"weight": 50, "hold": "5s"}], "scaleDownDelay": "10s", "keepFailed": "5s"},
            "analysis": {"interval": "2s", "warmUp": "1s", "metrics": metrics()},
        }
        found |= fields
        return found

    def apply(self, version: str = "1", **fields: Any) -> Json:
        return self.apply_spec(self.spec(version, **fields))

    def apply_file(self, file: Path, **fields: Any) -> Json:
        """The spec of a manifest, under this name and hostname. `fields` go over it."""
        spec = yaml.safe_load(file.read_text())["spec"] | fields
        assert self.gateway_info is not None
        parent = {"name": self.gateway_info.name, "namespace": self.gateway_info.namespace}
        spec["traffic"]["gateway"] |= {"parentRefs": [parent], "hostnames": [self.host]}
        return self.apply_spec(spec)

    def apply_spec(self, spec: Json) -> Json:
        """Apply with kubectl, as a person does; returns what is stored."""
        document = {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        stored: Json = json.loads(self.kubectl.ok("apply", "-f", "-", "-o", "json", stdin=json.dumps(document)))
        generation = stored["metadata"]["generation"]
        self.observer.until(
            lambda: (self.status.get("observedGeneration") or 0) >= generation if self._there else False,
            f"generation {generation} of {self.name} is seen by the operator",
        )
        return stored

    @property
    def _there(self) -> bool:
        return self.observer.now("ModelDeployment", self.name) is not None

    def delete(self) -> None:
        if self._there:
            self.kubectl.ok("delete", "modeldeployment", self.name, "--ignore-not-found", "--wait=false")

    # What is measured

    def ask(self, headers: dict[str, str] | None = None) -> tuple[str, str]:
        """One request through the gateway: the version that answered, and the revision that the gateway says it was."""
        assert self.gateway_info is not None
        given = {"Host": self.host, "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.gateway_info.url}/predict", json.dumps(BODY).encode(), given)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["model_version"], answer.headers[REVISION_HEADER]

    def routed(self) -> list[tuple[float, dict[str, float]]]:
        """Every change of the route: seconds since the epoch, and percent by version slug."""
        found: list[tuple[float, dict[str, float]]] = []
        for sight in self.observer.history("HTTPRoute", self.name):
            weights = {one.rsplit("-", 1)[0]: share / 100 for one, share in carried(self.name, sight.raw).items()}
            weights = {version: share for version, share in weights.items() if share}
            if not sight.gone and (not found or found[-1][1] != weights):
                found.append((sight.at + EPOCH, weights))
        return found

    def copies(self) -> list[Json]:
        """Where its route now sends copies of requests, and how many."""
        return _mirrors(self.observer.now("HTTPRoute", self.name) or {})

    def ever_copied(self) -> bool:
        """Whether any route that it ever had sent copies anywhere."""
        return any(_mirrors(sight.raw) for sight in self.observer.history("HTTPRoute", self.name))

    def statuses(self) -> list[tuple[float, Json]]:
        """Every status that was stored: seconds since the epoch, and the status."""
        sights: list[Sight] = self.observer.history("ModelDeployment", self.name)
        return [(sight.at + EPOCH, sight.raw.get("status") or {}) for sight in sights if not sight.gone]

    def weight_gone(self, version: str, after: float = 0.0) -> float:
        """When the route first gave nothing to a version after it had some, in seconds since the epoch."""
        had = False
        for at, weights in self.routed():
            if had and version not in weights and at >= after:
                return at
            had = version in weights
        raise AssertionError(f"the route still carries version {version}, or never did: {self.routed()}")


def _mirrors(route: Json) -> list[Json]:
    filters = [one for rule in route.get("spec", {}).get("rules", ()) for one in rule.get("filters") or ()]
    return [one["requestMirror"] for one in filters if one["type"] == "RequestMirror"]
