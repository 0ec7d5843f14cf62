"""The pod template that a revision gets."""

import re

import pytest

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Settings


def server_of(rendered):
    return next(found for found in rendered.template["spec"]["containers"] if found["name"] == "server")


def env_of(rendered):
    return {variable["name"]: variable.get("value") for variable in server_of(rendered)["env"]}


def minimal(**server):
    return {"server": {"image": "fraud:2", **server}}


def overlay(raw, **container):
    pod = {"containers": [{"name": "server", **container}]}
    return raw | {"template": {"spec": pod}}


def test_the_seeds_probes_rest_until_the_model_is_loaded(render):
    server = server_of(render(minimal()))
    health = {"path": "/health", "port": 8000, "scheme": "HTTP"}
    assert server["readinessProbe"]["httpGet"] == server["livenessProbe"]["httpGet"] == health
    assert server["readinessProbe"]["periodSeconds"] == 5
    assert server["livenessProbe"]["periodSeconds"] == 10
    assert server["startupProbe"]["httpGet"] == health


def test_the_startup_probe_waits_a_day_so_that_a_raised_load_deadline_needs_no_new_pods(render):
    probe = server_of(render(minimal()))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 86_400


def test_an_administrators_startup_probe_waits_as_long(render):
    runtimes = [{"name": "Slow", "port": 1, "startup": {"path": "/up", "periodSeconds": 7}}]
    rendered = render(minimal(runtime="Slow"), Settings.model_validate({"runtimes": runtimes}))
    probe = server_of(rendered)["startupProbe"]
    assert probe["httpGet"]["path"] == "/up"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 86_400


def test_a_probe_of_ones_own_goes_whole_over_the_presets(render):
    own = {"tcpSocket": {"port": 8000}}
    server = server_of(render(overlay(minimal(), livenessProbe=own)))
    assert server["livenessProbe"] == own
    assert server["readinessProbe"]["httpGet"]["path"] == "/health"


def test_a_probe_without_a_question_changes_the_presets_numbers(render):
    probe = server_of(render(overlay(minimal(), readinessProbe={"periodSeconds": 1})))["readinessProbe"]
    assert (probe["periodSeconds"], probe["httpGet"]["path"]) == (1, "/health")


def test_the_startup_probe_asks_what_a_persons_readiness_asks(render):
    asked = {"httpGet": {"path": "/ready", "port": 9000}}
    probe = server_of(render(overlay(minimal(), readinessProbe=asked)))["startupProbe"]
    assert probe["httpGet"] == asked["httpGet"]


def test_custom_assumes_nothing(render):
    rendered = render(minimal(runtime="Custom", port=7000))
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & set(server_of(rendered))
    assert "annotations" not in rendered.template["metadata"]
    assert (rendered.port, rendered.metrics_path) == (7000, None)


def test_the_model_is_told_to_the_server_and_ones_own_value_wins(render, spec):
    spec["server"]["env"] = [{"name": "MODEL_URI", "value": "/mnt"}, {"name": "GREETING", "value": "$(MODEL_NAME)"}]
    rendered = render(spec)
    assert env_of(rendered) == {
        "MODEL_NAME": "fraud",
        "MODEL_VERSION": "2",
        "MODEL_FORMAT": "sklearn",
        "MODEL_URI": "/mnt",
        "GREETING": "$(MODEL_NAME)",
    }
    names = [variable["name"] for variable in server_of(rendered)["env"]]
    assert names.index("MODEL_NAME") < names.index("GREETING"), "a variable sees only those before it"


def test_the_models_name_is_the_resources_where_none_is_given(render):
    assert env_of(render(minimal(), name="churn"))["MODEL_NAME"] == "churn"


def test_labels_say_what_a_pod_is_and_ones_own_stay(render, spec):
    spec["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "mine"
    revision = render(spec).template["metadata"]["labels"]["modelrollout.dev/revision"]
    assert render(spec).template["metadata"]["labels"] == {
        "app.kubernetes.io/name": "mine",
        "app.kubernetes.io/instance": f"fraud-{revision}",
        "app.kubernetes.io/version": "2",
        "app.kubernetes.io/managed-by": "modelrollout",
        "modelrollout.dev/deployment": "fraud",
        "modelrollout.dev/revision": revision,
        "team": "risk",
    }


def test_a_version_that_no_label_can_hold_is_written_as_near_as_possible(render):
    labels = render({"version": "1.0+cu121", **minimal()}).template["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == "1.0_cu121"


def test_pods_are_annotated_for_scraping_and_ones_own_word_wins(render):
    annotations = render(minimal(port=9000)).template["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9000",
        "prometheus.io/path": "/metrics",
    }
    own = minimal() | {"template": {"metadata": {"annotations": {"prometheus.io/scrape": "false"}}}}
    assert render(own).template["metadata"]["annotations"]["prometheus.io/scrape"] == "false"


def test_a_metrics_port_of_its_own_is_declared_and_annotated(render):
    settings = Settings.model_validate({"runtimes": [{"name": "Two", "port": 80, "metricsPort": 81}]})
    rendered = render(minimal(runtime="Two"), settings)
    assert rendered.template["metadata"]["annotations"]["prometheus.io/port"] == "81"
    assert {"name": "metrics", "containerPort": 81, "protocol": "TCP"} in server_of(rendered)["ports"]
    assert (rendered.port, rendered.metrics_port, rendered.metrics_port_name) == (80, 81, "metrics")


@pytest.mark.parametrize(
    ("raw", "port", "name"),
    [
        (minimal(), 8000, "http"),
        (minimal(port=9000), 9000, "http"),
        (overlay(minimal(), ports=[{"name": "http", "containerPort": 9000}]), 9000, "http"),
        (overlay(minimal(), ports=[{"name": "web", "containerPort": 8000}]), 8000, "web"),
        (overlay(minimal(), ports=[{"name": "grpc", "containerPort": 8001}]), 8000, "http"),
        (
            overlay(minimal(runtime="Custom"), ports=[{"containerPort": 1}, {"name": "http", "containerPort": 2}]),
            2,
            "http",
        ),
        (overlay(minimal(runtime="Custom"), ports=[{"containerPort": 1}]), 1, ""),
    ],
)
def test_the_serving_port_is_found(render, raw, port, name):
    rendered = render(raw)
    assert (rendered.port, rendered.port_name) == (port, name)
    assert all(found["protocol"] == "TCP" for found in server_of(rendered)["ports"])


def test_a_pod_goes_on_serving_while_it_ends(render):
    rendered = render(minimal())
    assert server_of(rendered)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert rendered.template["spec"]["terminationGracePeriodSeconds"] == 35


def test_a_hook_of_ones_own_stays(render):
    hook = {"preStop": {"exec": {"command": ["sleep", "20"]}}, "postStart": {"exec": {"command": ["true"]}}}
    assert server_of(render(overlay(minimal(), lifecycle=hook)))["lifecycle"] == hook
    after = {"postStart": hook["postStart"]}
    assert server_of(render(overlay(minimal(), lifecycle=after)))["lifecycle"] == {
        **after,
        "preStop": {"sleep": {"seconds": 5}},
    }


def test_no_pre_stop_means_none(render):
    assert "lifecycle" not in server_of(render(minimal(), Settings.model_validate({"preStop": "0s"})))


def test_a_grace_period_without_room_for_the_pre_stop_sleep_is_refused(render):
    raw = minimal() | {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}
    with pytest.raises(SpecError, match=r"terminationGracePeriodSeconds: found 5; .* write at least 6"):
        render(raw)
    raw["template"]["spec"]["containers"] = [{"name": "server", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}]
    assert render(raw).template["spec"]["terminationGracePeriodSeconds"] == 5


def test_pods_are_restricted_where_nobody_said_anything(render):
    rendered = render(minimal())
    assert rendered.template["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert rendered.template["spec"]["automountServiceAccountToken"] is False
    assert server_of(rendered)["securityContext"] == {"allowPrivilegeEscalation": False}
    own = overlay(minimal(), securityContext={"runAsUser": 0})
    own["template"]["spec"]["automountServiceAccountToken"] = True
    assert server_of(render(own))["securityContext"] == {"runAsUser": 0}
    assert render(own).template["spec"]["automountServiceAccountToken"] is True


def test_the_administrator_can_leave_security_to_others(render):
    settings = Settings.model_validate({"podSecurity": {"defaultSecurityContext": False}})
    rendered = render(minimal(), settings)
    assert "securityContext" not in rendered.template["spec"]
    assert "securityContext" not in server_of(rendered)


def test_sidecars_stay_and_the_server_stands_first(render):
    raw = minimal() | {"template": {"spec": {"containers": [{"name": "log", "image": "log:1"}]}}}
    assert [found["name"] for found in render(raw).template["spec"]["containers"]] == ["server", "log"]


def test_quantities_are_spelled_as_they_are_stored(render):
    rendered = render(minimal(resources={"requests": {"cpu": 0.5, "memory": "1024Mi"}}))
    assert server_of(rendered)["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (minimal(runtime="Custom"), "spec.server.port: is needed"),
        (
            {"version": "1", "template": {"spec": {"containers": [{"name": "main", "image": "a:1"}]}}},
            'spec.server.image: an image is needed: set server.image; the template names main, but the one that serves is "server"',
        ),
        (
            minimal() | {"template": {"spec": {"containers": [{"name": "log"}]}}},
            "spec.template.spec.containers[log].image: is missing",
        ),
        (
            overlay(minimal(), ports=[{"name": "x", "containerPort": "80"}]),
            "spec.template.spec.containers[server].ports[1].containerPort: found '80'",
        ),
        (minimal(runtime="Torch"), 'spec.server.runtime: no runtime "Torch"; known here: Custom, FastAPI'),
    ],
)
def test_what_makes_no_pod_is_refused(render, raw, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        render(raw)
