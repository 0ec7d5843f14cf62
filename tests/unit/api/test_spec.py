from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modelrollout.api.spec import ModelDeploymentSpec
from tests.strategies import FAULTS, Spec, invalid_specs, specs

IMAGE = {"server": {"image": "fraud:2"}}


@given(specs())
@settings(max_examples=80, deadline=None)
def test_every_valid_spec_is_read_and_written_back_with_the_same_meaning(spec: Spec):
    read = ModelDeploymentSpec.model_validate(spec)
    assert ModelDeploymentSpec.model_validate(read.written()) == read


@given(invalid_specs())
@settings(max_examples=80, deadline=None)
def test_a_valid_spec_with_any_one_fault_is_refused(found: tuple[str, Spec]):
    fault, spec = found
    with pytest.raises(ValidationError):
        pytest.fail(f"{fault}: read as {ModelDeploymentSpec.model_validate(spec)!r}")


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_in_the_smallest_spec(fault: str):
    with pytest.raises(ValidationError):
        ModelDeploymentSpec.model_validate(FAULTS[fault](IMAGE))


@given(specs())
@settings(max_examples=60, deadline=None)
def test_what_is_absent_stays_absent(spec: Spec):
    # The hash of a revision covers fields as written, so that a new default changes no hash.
    written = ModelDeploymentSpec.model_validate(spec).written()
    assert {path for path, _ in leaves(written)} <= {path for path, _ in leaves(spec)}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("weights fall", "weights must not fall: step 2 (5) is below step 1 (25)"),
        ("a weight above 100", "101 is not a weight: it must lie from 0 to 100 and have at most two decimals"),
        ("a duration in words", "'5 minutes' is not of the form 90s, 15m or 1h30m"),
        ("two routers", "name exactly one router, found gateway and service"),
        ("a share of traffic in blue/green", "its steps have weight 0 or 100; for others use strategy Canary"),
        ("a preview at a host name of users", "a preview host name must not be one of hostnames"),
        ("a host name for previews in a mesh", "previewHostnames need a Gateway"),
        ("no image", "an image is needed, such as registry.example.com/fraud:2"),
        ("two metrics of one name", "names of metrics must be unique, found m twice"),
    ],
)
def test_a_refusal_names_what_was_found_and_what_would_be_right(fault: str, message: str):
    with pytest.raises(ValidationError) as refusal:
        ModelDeploymentSpec.model_validate(FAULTS[fault](IMAGE))
    assert message in str(refusal.value)


@given(st.permutations(["a", "b", "c"]))
def test_names_are_unique_wherever_the_second_one_stands(order: list[str]):
    steps = [{"weight": 1, "name": name} for name in order]
    ModelDeploymentSpec.model_validate(IMAGE | {"rollout": {"steps": steps}})
    with pytest.raises(ValidationError, match="must be unique"):
        ModelDeploymentSpec.model_validate(IMAGE | {"rollout": {"steps": [*steps, steps[0]]}})


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
            yield f"{path}.{key}", None
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value
