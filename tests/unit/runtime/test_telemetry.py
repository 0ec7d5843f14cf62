import io
import json
import logging

import pytest

from modelrollout.runtime.telemetry import about, set_up_logging


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
