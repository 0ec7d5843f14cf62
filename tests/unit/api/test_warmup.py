"""What of golden requests is refused by the models alone, because the API server cannot look so closely."""

import pytest
from pydantic import ValidationError

from modelrollout.api.warmup import BODY_LIMIT, GoldenRequest, WarmUp


def request(**fields):
    return GoldenRequest.model_validate({"name": "g", "path": "/predict"} | fields)


def refusal(make, **fields):
    with pytest.raises(ValidationError) as caught:
        make(**fields)
    return str(caught.value)


def warm_up(**fields):
    return WarmUp.model_validate({"requests": [{"name": "g", "path": "/"}]} | fields)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection"])
def test_a_header_of_the_connection_cannot_be_set(name):
    assert f"header {name} belongs to the connection" in refusal(request, headers={name: "x"})


def test_a_header_has_a_proper_name():
    assert "is no name of a header" in refusal(request, headers={"a b": "x"})
    assert "is no name of a header" in refusal(request, headers={"": "x"})


def test_a_get_has_no_body():
    assert "a GET has no body" in refusal(request, method="GET", body="x")
    assert [request().verb, request(body="x").verb, request(json={}).verb] == ["GET", "POST", "POST"]


def test_bodies_are_bounded():
    assert "json has more than" in refusal(request, json={"a": "x" * BODY_LIMIT})
    assert "at most 65536" in refusal(request, body="x" * (BODY_LIMIT + 1))
    assert "equals has more than" in refusal(request, expect={"json": [{"path": "a", "equals": "x" * 20_000}]})


def test_times_fit_each_other():
    assert "timeout 6m is not between 1s and 5m" in refusal(warm_up, timeout="6m")
    assert "timeout 0s is not between" in refusal(warm_up, timeout="0s")
    assert "latency 11s is not between 1ms and the timeout of 10s" in refusal(warm_up, latency="11s")
    assert warm_up(latency="250ms").answer_within == 10.0
