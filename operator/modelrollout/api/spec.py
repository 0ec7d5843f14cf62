"""`ModelDeployment.spec`: what a team asks for.

Fields are optional wherever a default depends on another field; the resolved values stand in the plan (`rollout/plan.py`) and
are shown in status. Rules that the API server can check at `kubectl apply` are CEL; the same are checked here, because a spec
may have been admitted under an older CRD.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from .analysis import Analysis
from .base import Enum, Flag, Model, Whole, rule, unique, validations
from .experiment import CONTROL, ROUTER_RULES, Assignment, End, Goal, check_router
from .istio import Istio
from .nginx import Nginx
from .routing import ROUTERS, Hostname, PathPrefix, found_too_many, one_router
from .scalars import FULL_WEIGHT, Duration, Weight
from .shadow import Shadow
from .traefik import Traefik
from .warmup import WarmUp

DnsLabel = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Opaque = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
Port = Annotated[Whole, Field(ge=1, le=65535)]
NAME_LIMIT = 36
VERSION_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"
LIST_MAP = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class ModelInfo(Model):
    """Which model is served; given to the server as MODEL_NAME, MODEL_URI and MODEL_FORMAT."""

    name: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Name of the model. Default: the resource's name."""
    uri: Annotated[str, Field(max_length=1024, min_length=1)] | None = None
    """Where the server finds the model."""
    format: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Such as sklearn or onnx."""


class Server(Model):
    """Short form of the container `server`."""

    runtime: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)] | None = None
    """Preset of ports, probes and metric series. Default: FastAPI. Custom assumes nothing."""
    image: Annotated[str, Field(max_length=512, min_length=1)] | None = None
    """Image of the model server."""
    port: Port | None = None
    """Port on which it serves. Default: the preset's."""
    command: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=64)] | None = None
    """Replaces the image's entry point."""
    args: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=128)] | None = None
    """Arguments."""
    env: Annotated[list[Annotated[dict[str, Any], Field(json_schema_extra=Opaque)]], Field(max_length=200)] | None = (
        None
    )
    """Environment, as in a container."""
    resources: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Requests and limits, as in a container."""


class Template(Model):
    """An ordinary pod template, merged by container name over the short form."""

    metadata: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Labels and annotations of the pods."""
    spec: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Pod fields; which ones are allowed is listed in the reference."""


class Autoscaling(
    Model,
    json_schema_extra=validations(
        rule("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas")
    ),
):
    """A HorizontalPodAutoscaler for each serving revision."""

    min_replicas: Annotated[Whole, Field(ge=1, le=10_000)]
    """Fewest pods of stable."""
    max_replicas: Annotated[Whole, Field(ge=1, le=10_000)]
    """Most pods."""
    metrics: (
        Annotated[list[Annotated[dict[str, Any], Field(json_schema_extra=Opaque)]], Field(max_length=10)] | None
    ) = None
    """As in a HorizontalPodAutoscaler v2. Default: 80 % of the CPU requests."""
    behavior: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """As in a HorizontalPodAutoscaler v2."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not exceed maxReplicas")
        return self


class ServiceType(Enum):
    """Type of the entry Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServicePort(Model):
    """A port of the entry Service."""

    name: DnsLabel
    """Name of the port."""
    port: Port
    """Port of the Service."""
    target_port: Port | None = None
    """Port of the pods. Default: the server's."""
    app_protocol: Annotated[str, Field(max_length=63)] | None = None
    """Such as kubernetes.io/h2c."""


class EntryService(Model):
    """The Service that in-cluster callers use; its address never changes."""

    name: DnsLabel | None = None
    """Default: the resource's name."""
    type: ServiceType | None = None
    """Default: ClusterIP."""
    ports: Annotated[list[ServicePort], Field(max_length=10, min_length=1, json_schema_extra=LIST_MAP)] | None = None
    """Default: port 80, named http, to the server's port."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=50)] | None = None
    """Annotations of the Service, for load balancers."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        unique((port.name for port in self.ports or ()), "names of ports")
        return self


class ParentRef(Model):
    """The Gateway (or, in a mesh, Service) that the route attaches to."""

    name: Annotated[str, Field(max_length=253, min_length=1)]
    """Name of the Gateway."""
    namespace: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Its namespace. Default: the resource's."""
    section_name: Annotated[str, Field(max_length=253, min_length=1)] | None = None
    """One listener of it."""
    port: Port | None = None
    """One port of it."""
    kind: Annotated[str, Field(pattern=r"^(Gateway|Service)$", max_length=16)] | None = None
    """Gateway (the default), or Service in a mesh."""


_OWN_HOSTS = "!has(self.previewHostnames) || !has(self.hostnames) || self.previewHostnames.all(h, !self.hostnames.exists(o, o == h))"
_OWN_HOSTS_TEXT = "a preview host name must not be one of hostnames: users would be split between two routes"
_HOSTS_COUNT = "!has(self.previewHostnames) || self.parentRefs.all(p, !has(p.kind) || p.kind == 'Gateway')"
_HOSTS_COUNT_TEXT = "previewHostnames need a Gateway: a mesh (a parentRef of kind Service) does not look at host names"


class Gateway(
    Model,
    json_schema_extra=validations(rule(_OWN_HOSTS, _OWN_HOSTS_TEXT), rule(_HOSTS_COUNT, _HOSTS_COUNT_TEXT)),
):
    """Traffic by a Gateway API HTTPRoute, which the operator owns."""

    parent_refs: Annotated[list[ParentRef], Field(max_length=8, min_length=1)]
    """The Gateways that the route attaches to."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] | None = None
    """Host names that it answers."""
    preview_hostnames: Annotated[list[Hostname], Field(max_length=16, min_length=1)] | None = None
    """Host names at which the candidate alone answers, whatever its weight. Whoever reaches the Gateway reaches it there."""
    path_prefix: PathPrefix | None = None
    """Requests below this path. Default: `/`."""
    rewrite_prefix: PathPrefix | None = None
    """What replaces the prefix before the server sees it."""
    timeout: Duration | None = None
    """Longest time for a request."""

    @model_validator(mode="after")
    def _preview_apart(self) -> Self:
        if set(self.preview_hostnames or ()) & set(self.hostnames or ()):
            raise ValueError(_OWN_HOSTS_TEXT)
        if self.preview_hostnames and any(parent.kind == "Service" for parent in self.parent_refs):
            raise ValueError(_HOSTS_COUNT_TEXT)
        return self


class Coarse(Enum):
    """Whether steps finer than the replica ratio are accepted."""

    REFUSE = "Refuse"
    ACCEPT = "Accept"


class ServiceRouter(Model):
    """Traffic by the ratio of pods behind the entry Service."""

    coarse: Coarse | None = None
    """Accept: steps finer than the pods allow are carried out as near as possible and shown as effectiveWeight. Default: Refuse."""


class Traffic(Model, json_schema_extra=validations(one_router())):
    """How traffic reaches the versions; without it, by the ratio of pods behind the entry Service."""

    gateway: Gateway | None = None
    """Gateway API."""
    service: ServiceRouter | None = None
    """Replica ratio behind the entry Service, on any cluster."""
    traefik: Traefik | None = None
    """Traefik's own TraefikService and IngressRoute."""
    istio: Istio | None = None
    """Istio's VirtualService."""
    nginx: Nginx | None = None
    """Ingresses with the canary annotations of ingress-nginx."""

    @property
    def named(self) -> tuple[str, ...]:
        """The fields of the routers that are set."""
        return tuple(field for field in ROUTERS if getattr(self, field) is not None)

    @property
    def router(self) -> str:
        """The router by name; where none is named, Service."""
        return ROUTERS[next(iter(self.named), "service")]

    @model_validator(mode="after")
    def _one_router(self) -> Self:
        if len(self.named) > 1:
            raise ValueError(found_too_many(self.named))
        return self


class Strategy(Enum):
    """The default list of steps and a few names."""

    CANARY = "Canary"
    """Shares of traffic that grow."""
    BLUE_GREEN = "BlueGreen"
    """A preview at weight 0, one switch, a bake."""
    SHADOW = "Shadow"
    """Copies of requests first, then shares of traffic that grow."""
    REPLACE = "Replace"
    """The old version is stopped, then the new one is started: for models that cannot run twice."""
    AB_TEST = "ABTest"
    """Two versions or more side by side at fixed shares, until one is chosen."""


class Advance(Enum):
    """How a step ends."""

    AUTOMATIC = "Automatic"
    APPROVAL = "Approval"


class CandidateReplicas(Enum):
    """How many pods a candidate runs below 100 %."""

    PROPORTIONAL = "Proportional"
    FULL = "Full"


class WhenSuperseded(Enum):
    """What a new spec does to a rollout that is under way."""

    REPLACE = "Replace"
    FINISH = "Finish"


class ReadyWhen(Enum):
    """When the condition Ready is true."""

    PROMOTED = "Promoted"
    SERVING = "Serving"


_ALL_ZERO = [f"{whole}{rest}{sign}" for whole in ("0", "00") for rest in ("", ".0", ".00") for sign in ("", "%")]
_WEIGHTLESS = (
    "!has(self.shadow) || !has(self.weight) || "
    f"(type(self.weight) == int ? self.weight == 0 : self.weight in {_ALL_ZERO})"
)
_WEIGHTLESS_TEXT = "a step that mirrors has weight 0: give the candidate its share in a step after it"
_WEIGHTED_TEXT = "name weight or shadow"


class Step(
    Model,
    json_schema_extra=validations(
        rule("has(self.weight) || has(self.shadow)", _WEIGHTED_TEXT), rule(_WEIGHTLESS, _WEIGHTLESS_TEXT)
    ),
):
    """One step: a share of traffic, held for a time, and how it ends."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32)] | None = None
    """Unique name. Default: weight-<n>, or shadow-<n> where it mirrors; with strategy BlueGreen preview and bake, with Replace bake."""
    weight: Weight = Weight(0)
    """Share of traffic for the candidate, in percent: an integer, or a string of at most two decimals. 0 is a preview: only testers reach it. May be left out beside shadow."""
    shadow: Shadow | None = None
    """Copy requests to the candidate instead, which serves nobody. Needs traffic.gateway."""
    hold: Duration | None = None
    """How much covered time the step needs. Default 0s."""
    max_duration: Duration | None = None
    """A step that lacks evidence by then follows analysis.onInconclusive. Default: three times the hold and the longest `delay` of a metric, at least 1h."""
    advance: Advance | None = None
    """Automatic (the default), or Approval: the step ends only when somebody approves."""

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A weight that was left out beside shadow stays so."""
        found: dict[str, Any] = dump(self)
        return found if "weight" in self.model_fields_set else {key: found[key] for key in found if key != "weight"}

    @model_validator(mode="after")
    def _mirrored_or_weighted(self) -> Self:
        if self.shadow is None and "weight" not in self.model_fields_set:
            raise ValueError(_WEIGHTED_TEXT)
        if self.shadow is not None and self.weight:
            raise ValueError(_WEIGHTLESS_TEXT)
        return self


STEPS_LIMIT = 20
_PERCENTS = (
    "self.map(s, !has(s.weight) ? 0.0 : type(s.weight) == int ? double(s.weight) : s.weight.endsWith('%') "
    "? double(s.weight.substring(0, size(s.weight) - 1)) : double(s.weight))"
)
# The API server refuses a rule whose estimated cost is high. So percentages, the dear part, are read once; and numbers of
# steps are cut out of a text of known length, because the length of string(int) counts as unbounded.
_NUMBERS = f"'{''.join(f'{number:>2}' for number in range(1, STEPS_LIMIT + 1))}'"
_FALLS = f"[{_PERCENTS}].map(w, {list(range(1, STEPS_LIMIT))}.filter(i, i < size(w) && w[i] < w[i - 1]))"
_FALL = (
    f"{_FALLS}.map(f, 'weights must not fall: step ' + {_NUMBERS}.substring(2 * f[0], 2 * f[0] + 2).trim()"
    " + ' (' + string(self[f[0]].weight)"
    f" + ') is below step ' + {_NUMBERS}.substring(2 * f[0] - 2, 2 * f[0]).trim()"
    " + ' (' + string(self[f[0] - 1].weight) + ')')[0]"
)
_STEP_RULES = [
    rule(f"{_PERCENTS}.isSorted()", "weights must not fall from one step to the next", message_expression=_FALL),
    rule(
        "self.all(s, !has(s.name) || self.exists_one(o, has(o.name) && o.name == s.name))",
        "names of steps must be unique",
    ),
]


class Pace(Enum):
    """What ends a step that all metrics pass."""

    SCHEDULE = "Schedule"
    """Its hold."""
    EVIDENCE = "Evidence"
    """Its metrics being certified, or its hold, whichever comes first."""


VARIANTS_LIMIT = 4
_OWN_FIELDS = "has(self.version) || has(self.model) || has(self.server) || has(self.template)"
_OWN_FIELDS_TEXT = "a variant differs from the control in version, model, server or template; name at least one of them"
_ALL_SHARES = "variants: their weights must add up to less than 100, for the rest is the control's"
_NO_SHARE = "variants: each needs a weight of more than 0"
_NO_CONTROL = f"variants: {CONTROL} is the spec's own version and no name for a variant"
_VARIANT_RULES = [
    rule(f"{_PERCENTS}.sum() < 100.0", _ALL_SHARES.partition(": ")[2]),
    rule(f"{_PERCENTS}.all(w, w > 0.0)", _NO_SHARE.partition(": ")[2]),
    rule(f"self.all(v, v.name != '{CONTROL}')", _NO_CONTROL.partition(": ")[2]),
]


class Variant(Model, json_schema_extra=validations(rule(_OWN_FIELDS, _OWN_FIELDS_TEXT))):
    """One challenger of an A/B test: a share of traffic, and what differs from the spec's own version.

    Maps merge over those of the spec; a list replaces the spec's, save containers, which merge by name, and `env`, by variable.
    """

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=24)]
    """Unique name of the arm, such as `b`; not `control`."""
    weight: Weight
    """Share of traffic in percent, the same throughout the test. With a Flag assignment the share that is expected to come with the flag; it sizes the pods."""
    version: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=63)] | None = None
    """Name of the version. Default: the spec's version, if it has one, else the image's tag."""
    model: ModelInfo | None = None
    """Merged over the spec's."""
    server: Server | None = None
    """Merged over the spec's."""
    template: Template | None = None
    """Merged over the spec's."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.version is None and self.model is None and self.server is None and self.template is None:
            raise ValueError(_OWN_FIELDS_TEXT)
        return self


# A list of all forms is a cheap question; a regular expression on a value that may be an integer is not.
_NONE_OR_ALL = [
    f"{whole}{rest}{sign}" for whole in ("0", "00", "100") for rest in ("", ".0", ".00") for sign in ("", "%")
]
_AT_ONCE = (
    "!has(self.strategy) || self.strategy != 'BlueGreen' || !has(self.steps) || self.steps.all(s, !has(s.weight) || "
    f"(type(s.weight) == int ? s.weight in [0, 100] : s.weight in {_NONE_OR_ALL}))"
)


class Capacity(Model):
    """How many pods both versions have together, where each is dear."""

    max_surge: Annotated[Whole, Field(ge=1, le=10_000)]
    """At most so many pods above `replicas`, for both versions together. For none at all there is strategy Replace."""
    scheduling_deadline: Duration | None = None
    """How long the candidate's pods may wait for a node; that time does not count for loadDeadline. A candidate without traffic is taken back then; one with traffic holds its weight and a person is needed. Default 30m."""


_ONE_BY_ONE = (
    "!has(self.capacity) || ((!has(self.strategy) || self.strategy == 'Canary')"
    " && (!has(self.candidateReplicas) || self.candidateReplicas == 'Proportional')"
    " && (!has(self.steps) || !self.steps.exists(s, has(s.shadow))))"
)
_ONE_BY_ONE_TEXT = "capacity needs a candidate that grows with its weight: strategy Canary, candidateReplicas Proportional, steps without shadow"
_IN_PLACE = (
    "!has(self.strategy) || self.strategy != 'Replace' || !has(self.steps) || self.steps.all(s, has(s.weight) && "
    f"(type(s.weight) == int ? s.weight == 100 : s.weight in {[form for form in _NONE_OR_ALL if form.startswith('100')]}))"
)
_IN_PLACE_TEXT = "Replace has one version at a time: its steps have weight 100; for others use another strategy"
_AT_ONCE_TEXT = "BlueGreen switches all traffic at once: its steps have weight 0 or 100; for others use strategy Canary"
_MIRRORS = "!has(self.strategy) || self.strategy != 'Shadow' || !has(self.steps) || self.steps.exists(s, has(s.shadow))"
_MIRRORS_TEXT = "strategy Shadow mirrors: give a step shadow, such as {shadow: {percent: 10}}, or use strategy Canary"
_TESTED = "has(self.strategy) && self.strategy == 'ABTest'"
_NEEDS_VARIANTS = f"({_TESTED}) == has(self.variants)"
_NEEDS_VARIANTS_TEXT = "strategy ABTest needs variants, and no other strategy has them"
_ONLY_TESTS = f"({_TESTED}) || !(has(self.assignment) || has(self.duration) || has(self.goal) || has(self.end))"
_ONLY_TESTS_TEXT = "assignment, duration, goal and end belong to strategy ABTest"
_NO_STEPS = f"!({_TESTED}) || !has(self.steps)"
_NO_STEPS_TEXT = "an A/B test has fixed shares (variants[].weight) and a duration instead of steps"
_ENDS = "!has(self.end) || self.end == 'Manual' || has(self.duration)"
_ENDS_TEXT = "with end PromoteWinner or KeepStable a test needs a duration, such as 14d"
_WINS = "!has(self.end) || self.end != 'PromoteWinner' || has(self.goal)"
_WINS_TEXT = "end PromoteWinner needs a goal by which a winner is told"
_TEST_RULES = [
    rule(_NEEDS_VARIANTS, _NEEDS_VARIANTS_TEXT, field_path=".variants"),
    rule(_ONLY_TESTS, _ONLY_TESTS_TEXT),
    rule(_NO_STEPS, _NO_STEPS_TEXT, field_path=".steps"),
    rule(_ENDS, _ENDS_TEXT),
    rule(_WINS, _WINS_TEXT),
]


class Rollout(
    Model,
    json_schema_extra=validations(
        rule(_AT_ONCE, _AT_ONCE_TEXT, field_path=".steps"),
        rule(_MIRRORS, _MIRRORS_TEXT, field_path=".steps"),
        rule(_IN_PLACE, _IN_PLACE_TEXT, field_path=".steps"),
        rule(_ONE_BY_ONE, _ONE_BY_ONE_TEXT, field_path=".capacity"),
        *_TEST_RULES,
    ),
):
    """How a new version gets its traffic."""

    strategy: Strategy | None = None
    """The default steps: Canary (the default); BlueGreen, whose steps have weight 0 or 100 and whose candidate runs in full size; Shadow, which begins with a step that mirrors; Replace, whose steps have weight 100 and whose candidate starts when the old version has stopped: nothing answers in between; or ABTest, which has variants and no steps."""
    steps: (
        Annotated[list[Step], Field(max_length=STEPS_LIMIT, min_length=1, json_schema_extra=validations(*_STEP_RULES))]
        | None
    ) = None
    """Default: 1 % 1h, 5 % 3h, 10 % 4h, 25 % 16h, 50 % 24h, then 100 %. With BlueGreen: a preview until it is approved, then 100 % 1h. With Shadow: all requests are mirrored for 1h, then as Canary. With Replace: 100 % 1h."""
    warm_up: WarmUp | None = None
    """Golden requests with expected answers, sent to each pod of a candidate or variant before it counts for a weight."""
    variants: (
        Annotated[
            list[Variant],
            Field(max_length=VARIANTS_LIMIT, min_length=1, json_schema_extra=LIST_MAP | validations(*_VARIANT_RULES)),
        ]
        | None
    ) = None
    """ABTest: the challengers, each a version of its own. The control is the version that the spec itself names; it gets the rest of the traffic."""
    assignment: Assignment | None = None
    """ABTest: which requests meet which variant. Default: Random."""
    duration: Duration | None = None
    """ABTest: how much time with the shares in force, and answers for the goal, the test needs."""
    goal: Goal | None = None
    """ABTest: what the winner must improve."""
    end: End | None = None
    """ABTest: what happens after `duration` (with pace Evidence: as soon as there is a winner). Manual (the default), KeepStable, or PromoteWinner."""
    load_deadline: Duration | None = None
    """The candidate must be ready by then, model download and load included. Default 15m."""
    unavailable_deadline: Duration | None = None
    """A candidate with traffic that is unready for so long has failed. Default 2m."""
    scale_down_delay: Duration | None = None
    """How long the former stable stays warm after the last step. Default 15m."""
    keep_failed: Duration | None = None
    """How long one pod of a rejected candidate stays for its logs. Default 10m."""
    candidate_replicas: CandidateReplicas | None = None
    """Proportional to the weight (the default), or Full (the default with BlueGreen)."""
    capacity: Capacity | None = None
    """Bounds the pods of both versions together: the weight follows ready pods, and stable shrinks behind it."""
    when_superseded: WhenSuperseded | None = None
    """What a new spec does to a rollout under way: Replace it (the default), or let it Finish."""
    pace: Pace | None = None
    """A step ends with its hold (Schedule, the default), or as soon as its metrics are certified (Evidence)."""
    ready_when: ReadyWhen | None = None
    """Ready is true when the desired version is Promoted (the default), or while it is Serving as planned."""
    paused: Flag | None = None
    """True holds the rollout where it is; rollbacks still happen."""
    attempt: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    """Raise it to try a rejected revision again."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        weights = [step.weight for step in self.steps or ()]
        for index, (before, after) in enumerate(pairwise(weights), start=2):
            if after < before:
                raise ValueError(
                    f"weights must not fall: step {index} ({after.percent}) is below step {index - 1} ({before.percent})"
                )
        unique((step.name for step in self.steps or ()), "names of steps")
        if self.strategy is Strategy.BLUE_GREEN and any(0 < weight < FULL_WEIGHT for weight in weights):
            raise ValueError(_AT_ONCE_TEXT)
        if self.strategy is Strategy.SHADOW and self.mirrors is False:
            raise ValueError(_MIRRORS_TEXT)
        if self.strategy is Strategy.REPLACE and any(weight < FULL_WEIGHT for weight in weights):
            raise ValueError(_IN_PLACE_TEXT)
        grows = self.strategy in (None, Strategy.CANARY) and self.candidate_replicas is not CandidateReplicas.FULL
        if self.capacity is not None and (not grows or self.mirrors):
            raise ValueError(_ONE_BY_ONE_TEXT)
        return self

    @property
    def mirrors(self) -> bool:
        """Whether some step mirrors requests."""
        if self.steps is None:
            return self.strategy is Strategy.SHADOW
        return any(step.shadow is not None for step in self.steps)

    @model_validator(mode="after")
    def _tested(self) -> Self:
        testing, variants = self.strategy is Strategy.AB_TEST, self.variants or []
        if testing != (self.variants is not None):
            raise ValueError(f"variants: {_NEEDS_VARIANTS_TEXT}")
        if not testing and any(field is not None for field in (self.assignment, self.duration, self.goal, self.end)):
            raise ValueError(f"strategy: {_ONLY_TESTS_TEXT}")
        if testing and self.steps is not None:
            raise ValueError(f"steps: {_NO_STEPS_TEXT}")
        unique((variant.name for variant in variants), "names of variants")
        if any(variant.name == CONTROL for variant in variants):
            raise ValueError(_NO_CONTROL)
        if not all(variant.weight for variant in variants):
            raise ValueError(_NO_SHARE)
        if sum(variant.weight for variant in variants) >= FULL_WEIGHT:
            raise ValueError(_ALL_SHARES)
        if self.end not in (None, End.MANUAL) and self.duration is None:
            raise ValueError(f"duration: {_ENDS_TEXT}")
        if self.end is End.PROMOTE_WINNER and self.goal is None:
            raise ValueError(f"goal: {_WINS_TEXT}")
        return self


_ROUTED = (
    "!has(self.rollout) || (has(self.traffic) && has(self.traffic.gateway)) || (has(self.rollout.steps) "
    "? !self.rollout.steps.exists(s, has(s.shadow)) : !has(self.rollout.strategy) || self.rollout.strategy != 'Shadow')"
)
_ROUTED_TEXT = "only a Gateway can mirror requests: name traffic.gateway, or use steps without shadow"


# CEL cannot look into the opaque pod template, so an image that stands only there is checked by the operator.
_FIXED = (
    "!has(self.autoscaling) || !has(self.rollout) || !has(self.rollout.strategy) || self.rollout.strategy != 'Replace'"
)
_FIXED_TEXT = "Replace runs a fixed number of pods: name replicas instead of autoscaling"
_DIVIDING = [f"traffic.{field}" for field, router in ROUTERS.items() if router != "Service"]
_BOUNDED = (
    "!has(self.rollout) || !has(self.rollout.capacity) || "
    f"(!has(self.autoscaling) && has(self.traffic) && ({' || '.join(f'has(self.{field})' for field in _DIVIDING)}))"
)
_BOUNDED_TEXT = (
    "capacity needs a fixed number of pods (replicas) and a router that divides traffic whatever their number: "
    f"{', '.join(_DIVIDING[:-1])} or {_DIVIDING[-1]}"
)
_IMAGE = "(has(self.server) && has(self.server.image)) || has(self.template)"


class ModelDeploymentSpec(
    Model,
    json_schema_extra=validations(
        rule("!(has(self.replicas) && has(self.autoscaling))", "name either replicas or autoscaling, not both"),
        rule(_FIXED, _FIXED_TEXT, field_path=".autoscaling"),
        rule(_BOUNDED, _BOUNDED_TEXT, field_path=".rollout.capacity"),
        rule(_IMAGE, "an image is needed, such as registry.example.com/fraud:2", field_path=".server.image"),
        rule(_ROUTED, _ROUTED_TEXT, field_path=".rollout"),
        *ROUTER_RULES,
    ),
):
    """What a team asks for: which version of a model, how it runs, how it gets traffic and how it is judged."""

    version: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=63)] | None = None
    """Name of the version. Default: the image's tag, else its digest's first 8 characters."""
    model: ModelInfo | None = None
    """Which model is served."""
    server: Server | None = None
    """The model server, in short form."""
    template: Template | None = None
    """An ordinary pod template, merged over the short form."""
    replicas: Annotated[Whole, Field(ge=0, le=10_000)] | None = None
    """Pods of the version that carries the traffic. Default 1."""
    autoscaling: Autoscaling | None = None
    """Scale by metrics instead."""
    service: EntryService | None = None
    """The entry Service."""
    traffic: Traffic | None = None
    """How traffic reaches the versions."""
    rollout: Rollout | None = None
    """How a new version gets its traffic."""
    analysis: Analysis | None = None
    """How a candidate is judged."""

    @model_validator(mode="after")
    def _replicas_or_autoscaling(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("name either replicas or autoscaling, not both")
        if self.autoscaling is not None and self.rollout is not None and self.rollout.strategy is Strategy.REPLACE:
            raise ValueError(_FIXED_TEXT)
        bounded = self.rollout is not None and self.rollout.capacity is not None
        if bounded and (self.autoscaling is not None or self.traffic is None or self.traffic.router == "Service"):
            raise ValueError(_BOUNDED_TEXT)
        return self

    @model_validator(mode="after")
    def _mirrors_by_a_gateway(self) -> Self:
        routed = self.traffic is not None and self.traffic.gateway is not None
        if self.rollout is not None and self.rollout.mirrors and not routed:
            raise ValueError(_ROUTED_TEXT)
        return self

    @model_validator(mode="after")
    def _image(self) -> Self:
        if self.template is None and (self.server is None or self.server.image is None):
            raise ValueError("server.image: an image is needed, such as registry.example.com/fraud:2")
        return self

    @model_validator(mode="after")
    def _tested_by_a_router_that_can(self) -> Self:
        if self.rollout is not None and self.rollout.strategy is Strategy.AB_TEST:
            router = self.traffic.router if self.traffic is not None else "Service"
            check_router(router, len(self.rollout.variants or ()), self.rollout.assignment)
        return self
