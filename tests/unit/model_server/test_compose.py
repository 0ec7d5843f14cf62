"""The compose set-up, as far as it can be judged without a container engine: shapes, and that its parts fit together."""

import re
from typing import Literal

import pytest
import yaml
from modelserver import faults
from modelserver.faults import Faults
from modelserver.settings import Settings
from pydantic import BaseModel, ConfigDict

from tests.unit.model_server.conftest import EXAMPLE


class Strict(BaseModel):
    """The part of the compose specification that is used here: anything else is a slip of the pen."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Strict):
    context: str
    args: dict[str, str]


class Limits(Strict):
    memory: str


class Resources(Strict):
    limits: Limits


class Deploy(Strict):
    replicas: int
    resources: Resources


class Condition(Strict):
    condition: Literal["service_healthy", "service_started"]


class HealthCheck(Strict):
    test: list[str]
    interval: str
    timeout: str
    retries: int


class Service(Strict):
    image: str
    build: Build | None = None
    command: list[str] = []
    environment: dict[str, str] = {}
    deploy: Deploy | None = None
    expose: list[str] = []
    ports: list[str] = []
    volumes: list[str] = []
    depends_on: dict[str, Condition] = {}
    healthcheck: HealthCheck | None = None
    user: str | None = None
    read_only: bool
    tmpfs: list[str] = []
    cap_drop: list[str]
    security_opt: list[str]
    restart: Literal["unless-stopped"]
    stop_grace_period: str | None = None


class Compose(Strict):
    name: str
    services: dict[str, Service]
    volumes: dict[str, None]


@pytest.fixture(scope="module")
def compose():
    return Compose.model_validate(yaml.safe_load((EXAMPLE / "compose.yaml").read_text()))


@pytest.fixture(scope="module")
def nginx():
    return (EXAMPLE / "compose/nginx.conf").read_text()


@pytest.fixture(scope="module")
def prometheus():
    return yaml.safe_load((EXAMPLE / "compose/prometheus.yml").read_text())


def test_three_replicas_stand_behind_the_load_balancer(compose):
    assert compose.services["model-server"].deploy.replicas == 3
    assert compose.services["model-server"].ports == []
    assert compose.services["load-balancer"].depends_on == {"model-server": Condition(condition="service_healthy")}


def test_nothing_listens_beyond_this_machine_and_every_container_is_locked_down(compose):
    for service in compose.services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.ports)
        assert service.read_only
        assert service.cap_drop == ["ALL"]


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared(compose):
    for service in compose.services.values():
        for volume in service.volumes:
            source = volume.split(":")[0]
            assert (EXAMPLE / source).is_file() if source.startswith("./") else source in compose.volumes


def test_the_load_balancer_sends_predictions_and_health_alone_to_the_replicas(compose, nginx):
    (port,) = compose.services["model-server"].expose
    assert f"set $replicas model-server:{port};" in nginx
    (location,) = re.findall(r"location ~ (\S+) \{", nginx)
    assert [path for path in ("/predict", "/health", "/metrics", "/livez") if re.search(location, path)] == [
        "/predict",
        "/health",
    ]
    listens = re.search(r"listen (\d+);", nginx)[1]
    assert compose.services["load-balancer"].ports == [f"127.0.0.1:8080:{listens}"]
    assert nginx.count("{") == nginx.count("}")


def test_prometheus_finds_every_replica_by_the_name_of_the_service(compose, prometheus):
    (job,) = prometheus["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    assert discovery["names"] == ["model-server"]
    assert [str(discovery["port"])] == compose.services["model-server"].expose
    assert discovery["type"] == "A"


def test_every_fault_can_be_set_from_the_shell_and_is_absent_otherwise(compose):
    environment = compose.services["model-server"].environment
    documented = set(re.findall(r"`(FAULT_\w+)`", faults.__doc__))
    assert {name for name in environment if name.startswith("FAULT_")} == documented
    assert all(environment[name] == f"${{{name}:-}}" for name in documented)
    unset = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in environment.items()}
    assert Settings.from_environment(unset).faults == Faults()


def test_the_lock_file_pins_every_requirement_by_hash_and_names_no_registry():
    lock = (EXAMPLE / "requirements.lock").read_text()
    for requirement in (EXAMPLE / "requirements.txt").read_text().splitlines():
        if not requirement.startswith("#"):
            name = re.match(r"[\w-]+", requirement)[0]
            assert re.search(rf"^{name}==[\d.]+.*\\\n    --hash=sha256:", lock, re.MULTILINE), name
    assert "://" not in lock
    assert "index" not in lock.replace("--no-emit-index-url", "")
