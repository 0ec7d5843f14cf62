import io
import json
import logging
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from modelrollout import operator
from modelrollout.api.settings import RouterName, Settings
from modelrollout.metrics.errors import UnavailableError
from modelrollout.metrics.provider import PrometheusSource
from modelrollout.metrics.sampler import Sampler
from modelrollout.runtime import telemetry
from modelrollout.runtime.telemetry import QueryMetrics, about, set_up_logging
from tests.fakes import prometheus as fake
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, STABLE, World


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_each_json_line_names_the_object_it_is_about_and_carries_extras_and_errors(root_logger):
    stream = io.StringIO()
    set_up_logging("INFO", stream=stream)
    log = logging.getLogger("some.library")
    with about("ml/fraud"):
        log.info("weight %d", 5, extra={"revision": "2-7c9f4a1b"})
        with about("ml/other"):
            log.info("inner")
        log.error("failed", exc_info=ValueError("broken"))
    log.info("outside")
    log.debug("too quiet")
    first, inner, failed, outside = map(json.loads, stream.getvalue().splitlines())
    assert first["object"] == "ml/fraud"
    assert first["message"] == "weight 5"
    assert first["level"] == "info"
    assert first["revision"] == "2-7c9f4a1b"
    assert first["time"].endswith("Z")
    assert inner["object"] == "ml/other"
    assert "ValueError: broken" in failed["error"]
    assert failed["object"] == "ml/fraud"
    assert "object" not in outside


def test_on_a_terminal_lines_are_for_people(root_logger):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    set_up_logging("INFO", stream=stream)
    with about("ml/fraud"):
        logging.getLogger("x").warning("held")
    assert stream.getvalue().rstrip().endswith("WARNING ml/fraud: held")


@in_loop
async def test_queries_to_providers_are_counted_by_outcome_with_time_and_size():
    registry = CollectorRegistry()
    with fake.FaultyServer() as server:
        world = World(providers=[{"name": "main", "url": server.url, "timeout": "1s"}])
        source = PrometheusSource(world.settings.providers[0], observer=QueryMetrics(registry))
        await source.instant("up", 1000.0, lambda rows: rows)
        server.fault = fake.status(500)
        with pytest.raises(UnavailableError):
            await source.instant("up", 1000.0, lambda rows: rows)
        source.close()

    def value(name, **labels):
        return registry.get_sample_value(f"modelrollout_provider_{name}", {"provider": "main", **labels})

    assert value("queries_total", outcome="Ok") == 1
    assert value("queries_total", outcome="Unavailable") == 1
    assert value("query_duration_seconds_count") == 2
    assert 0 < value("query_duration_seconds_sum") < 2
    assert value("answer_bytes_sum") == 69


@in_loop
async def test_values_that_a_sampler_drops_are_counted_with_the_reason():
    registry = CollectorRegistry()
    world = World()
    world.sampler = Sampler(
        world.settings,
        world.clock,
        world.woken.append,
        source=lambda _: world.prometheus,
        observer=QueryMetrics(registry),
    )
    world.add(CANDIDATE).serve(3)
    world.add(STABLE).serve(3)
    world.prometheus.bend = lambda query, rows: rows if "http_" not in query else [bent(row) for row in rows]
    world.subscribe()
    async with world.running():
        await world.live(6)
    labels = {"provider": "default", "reason": "no count"}
    assert registry.get_sample_value("modelrollout_provider_dropped_values_total", labels) == 2


def bent(row):
    return {**row, "value": [row["value"][0], "NaN"]}


def test_every_metric_of_the_operator_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "operate.md").read_text()
    sources = "".join(Path(module.__file__).read_text() for module in (telemetry, operator))
    names = set(re.findall(r'"((?:modelrollout|workqueue)_[a-z_]+)"', sources))
    names |= {
        f"_{kind.plural}`"
        for kind in operator.WATCHED + operator.CHILDREN + operator.routes(Settings(routers=tuple(RouterName)))
    }
    assert len(names) > 15
    assert not {name for name in names if name not in text}
