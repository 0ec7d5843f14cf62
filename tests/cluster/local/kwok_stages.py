"""How kwok plays nodes and pods, and how a test tells a pod to behave badly.

A pod's behaviour is read from its annotation `modelrollout.dev/kwok-behavior`, else from an environment variable
`KWOK_BEHAVIOR` of any of its containers, else it is `ready`. Environment variables make one *version* of a model behave
so; annotations change single pods, also while they run. `modelrollout.dev/kwok-ready-delay` and `KWOK_READY_DELAY` (a Go
duration such as `3s`) hold the way to `ready` back; the time counts from the last change of the pod, which is when it was
scheduled. `KWOK_ADDRESS` is the IP that pods of a version show, so that a server of the test can answer for them.

Each stage notes the behaviour that it played in a pod condition of the type `modelrollout.dev/kwok`, and a stage is due
when the note differs from the wish. So a status that a test patches by hand stays as it is until the wish changes.
"""

import json
from typing import Any

BEHAVIOR_ANNOTATION = "modelrollout.dev/kwok-behavior"
DELAY_ANNOTATION = "modelrollout.dev/kwok-ready-delay"
BEHAVIOR_VARIABLE = "KWOK_BEHAVIOR"
DELAY_VARIABLE = "KWOK_READY_DELAY"
ADDRESS_VARIABLE = "KWOK_ADDRESS"
NOTE = "modelrollout.dev/kwok"

POD = {"apiGroup": "v1", "kind": "Pod"}
NODE = {"apiGroup": "v1", "kind": "Node"}

# kwok's pool gives another address at every call, and a pod may have but one.
ADDRESSES = (
    f"""\
{{{{ if not .status.podIP }}}}
{{{{ $own := "" }}}}
{{{{ range .spec.containers }}}}{{{{ range .env }}}}
{{{{ if eq .name "{ADDRESS_VARIABLE}" }}}}{{{{ $own = .value }}}}{{{{ end }}}}
{{{{ end }}}}{{{{ end }}}}
{{{{ if $own }}}}
podIP: {{{{ $own | Quote }}}}
podIPs:
- ip: {{{{ $own | Quote }}}}
{{{{ else }}}}
"""
    """\
{{ $addresses := PodIPsWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}
{{ with $addresses }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ end }}
{{ end }}"""
)

NODE_STATUS = """\
{{ $now := Now }}
phase: Running
capacity: {cpu: 1k, memory: 1Ti, pods: 10k}
allocatable: {cpu: 1k, memory: 1Ti, pods: 10k}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}"""

RUNNING = "running: {startedAt: {{ $now | Quote }}}"
CRASHED = "terminated: {exitCode: 1, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}"


def stages() -> list[dict[str, Any]]:
    """All stages, as kwok's configuration file wants them."""
    return [
        _node_ready(),
        _stage("pod-gone", POD, [_exists(".metadata.deletionTimestamp")], {"delete": True}),
        _pod("ready", "Running", ready=True, state=RUNNING, delay=True),
        _pod("never-ready", "Running", ready=False, state=RUNNING),
        _pod("crash-loop", "Running", ready=False, state=_waiting("CrashLoopBackOff"), last=CRASHED, restarts=4),
        _pod("image-pull-error", "Pending", ready=False, state=_waiting("ImagePullBackOff")),
    ]


def config() -> str:
    """The text of kwok's configuration file."""
    tuning = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {  # in a file of several documents kwok fills in no defaults
            "manageAllNodes": True,
            "podPlayStageParallelism": 16,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
            "nodeLeaseDurationSeconds": 40,
            "podsOnNodeSyncParallelism": 4,
            "enablePodsOnNodeSyncListPager": False,
            "enablePodsOnNodeSyncStreamWatch": True,
        },
    }
    return "\n---\n".join(json.dumps(document, indent=2) for document in (tuning, *stages()))


def wish(annotation: str, variable: str) -> str:
    """A jq expression for an annotation of a pod, else for an environment variable of one of its containers."""
    from_env = f'first(.spec.containers[].env[]? | select(.name == "{variable}") | .value)'
    return f'.metadata.annotations["{annotation}"] // ({from_env})'


def _pod(  # noqa: PLR0917
    behavior: str,
    phase: str,
    ready: bool,
    state: str,
    last: str = "",
    restarts: int = 0,
    delay: bool = False,
) -> dict[str, Any]:
    selector: list[dict[str, Any]] = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {
            "key": f'({wish(BEHAVIOR_ANNOTATION, BEHAVIOR_VARIABLE)}) // "ready"',
            "operator": "In",
            "values": [behavior],
        },
        {
            "key": f'.status.conditions[]? | select(.type == "{NOTE}") | .reason',
            "operator": "NotIn",
            "values": [_note(behavior)],
        },
    ]
    template = _status(behavior, phase, ready, state, last, restarts)
    stage = _stage(f"pod-{behavior}", POD, selector, _patch(template))
    if delay:
        hold = {"jq": {"expression": wish(DELAY_ANNOTATION, DELAY_VARIABLE)}}
        stage["spec"]["delay"] = {"durationMilliseconds": 0, "durationFrom": hold}
    return stage


def _note(behavior: str) -> str:
    """The reason in the note; the API wants CamelCase there."""
    return "".join(word.capitalize() for word in behavior.split("-"))


def _status(  # noqa: PLR0917
    behavior: str,
    phase: str,
    ready: bool,
    state: str,
    last: str,
    restarts: int,
) -> str:
    truth = "True" if ready else "False"
    conditions = {"Initialized": "True", "ContainersReady": truth, "Ready": truth}
    lines = [
        "{{ $now := Now }}",
        f"phase: {phase}",
        "startTime: {{ or .status.startTime $now | Quote }}",
        "conditions:",
    ]
    lines += [
        f'- {{type: {kind}, status: "{value}", lastTransitionTime: {{{{ $now | Quote }}}}}}'
        for kind, value in conditions.items()
    ]
    lines += [
        f'- {{type: {NOTE}, status: "True", reason: {_note(behavior)}, lastTransitionTime: {{{{ $now | Quote }}}}}}',
        "{{ range .spec.readinessGates }}",
        f'- {{type: {{{{ .conditionType | Quote }}}}, status: "{truth}", lastTransitionTime: {{{{ $now | Quote }}}}}}',
        "{{ end }}",
        *_containers("containerStatuses", ".spec.containers", ready, state, last, restarts),
        *_containers("initContainerStatuses", ".spec.initContainers", ready=True, state=_completed()),
        ADDRESSES,
    ]
    return "\n".join(lines)


def _containers(  # noqa: PLR0917
    field: str,
    source: str,
    ready: bool,
    state: str,
    last: str = "",
    restarts: int = 0,
) -> list[str]:
    return [
        f"{field}:",
        f"{{{{ range {source} }}}}",
        "- name: {{ .name | Quote }}",
        "  image: {{ .image | Quote }}",
        '  imageID: ""',
        f"  ready: {str(ready).lower()}",
        f"  started: {str(ready).lower()}",
        f"  restartCount: {restarts}",
        f"  state: {{{state}}}",
        *([f"  lastState: {{{last}}}"] if last else []),
        "{{ end }}",
    ]


def _waiting(reason: str) -> str:
    return f"waiting: {{reason: {reason}, message: played by kwok}}"


def _completed() -> str:
    return "terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}"


def _node_ready() -> dict[str, Any]:
    """Nodes become ready once and stay so by the leases that kwok renews."""
    ready = '.status.conditions[]? | select(.type == "Ready") | .status'
    selector = [{"key": ready, "operator": "NotIn", "values": ["True"]}]
    return _stage("node-ready", NODE, selector, _patch(NODE_STATUS))


def _patch(template: str) -> dict[str, Any]:
    return {"patch": {"subresource": "status", "root": "status", "type": "strategic", "template": template}}


def _exists(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def _stage(name: str, resource: dict[str, str], selector: list[dict[str, Any]], step: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {"resourceRef": resource, "selector": {"matchExpressions": selector}, "steps": [step]},
    }
