"""A CRD that is older than the operator: what is not taken is not sent again, and told once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.api.base import fingerprint
from modelrollout.api.status import ModelDeploymentStatus, TrafficStatus
from modelrollout.controller.memory import Memory
from modelrollout.controller.stored import AGAIN, Untaken, lacking, without
from modelrollout.kube.errors import Invalid
from tests.fakes.clock import VirtualClock
from tests.fakes.loop import in_loop

OLD = frozenset({("previewURL",), ("traffic", "testerHeader")})


def status(**fields) -> ModelDeploymentStatus:
    found = {"preview_url": "http://preview", "traffic": TrafficStatus(tester_header="x: y")} | fields
    return ModelDeploymentStatus(**found)


def learnt(clock=None) -> tuple[Untaken, Memory, str, tuple]:
    untaken, memory = Untaken(clock or VirtualClock()), Memory()
    written = status().written()
    stored = without(written, OLD)
    return untaken, memory, fingerprint(stored), untaken.learn(memory, status(), written, stored)


def test_what_the_server_did_not_take_is_told_once_with_the_command_that_helps():
    untaken, memory, _, told = learnt()
    assert [(note.reason, note.warning) for note in told] == [("OutdatedCRDs", True)]
    assert "previewURL, traffic.testerHeader" in told[0].message
    assert "kubectl apply --server-side --force-conflicts -f crds/" in told[0].message
    again = untaken.learn(
        memory, status(message="news"), status(message="news").written(), without(status(message="news").written(), OLD)
    )
    assert again == ()
    assert memory.recorded is not None


def test_a_status_that_differs_only_in_what_is_not_taken_is_no_news():
    untaken, memory, stored, _ = learnt()
    other = status(preview_url="http://another")
    assert untaken.same(memory, other, other.written(), stored)
    assert memory.status_of(stored, ModelDeploymentStatus()) is other
    assert not untaken.same(memory, status(message="news"), status(message="news").written(), stored)


def test_the_status_as_decided_counts_until_something_else_is_stored():
    _, memory, stored, _ = learnt()
    read = ModelDeploymentStatus(message="somebody else wrote this")
    assert memory.status_of(stored, read).preview_url == "http://preview"
    assert memory.status_of(fingerprint(read.written()), read) is read


def test_another_resource_is_not_written_for_what_is_not_taken():
    untaken, _, stored, _ = learnt()
    assert untaken.same(Memory(), status(), status().written(), stored)


@in_loop
async def test_after_a_while_the_fields_are_sent_again():
    clock = VirtualClock()
    untaken, memory, stored, _ = learnt(clock)
    await clock.advance(AGAIN - 1)
    assert untaken.same(memory, status(), status().written(), stored)
    await clock.advance(1)
    assert not untaken.same(memory, status(), status().written(), stored)


def test_newer_crds_end_it_with_the_next_write():
    untaken, memory, stored, _ = learnt()
    assert untaken.learn(memory, status(), status().written(), status().written()) == ()
    assert memory.recorded is None
    assert not untaken.same(memory, status(), status().written(), stored)


def test_a_status_of_which_nothing_is_taken_is_told_once():
    untaken = Untaken(VirtualClock())
    refusal = Invalid('status.phase: Unsupported value: "WarmingUp"', code=422)
    assert "Unsupported value" in untaken.refused(refusal)[0].message
    assert untaken.refused(refusal) == ()


JSON = st.recursive(
    st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(written=st.dictionaries(st.sampled_from("abcd"), JSON), names=st.sets(st.sampled_from("abc")))
def test_without_what_lacks_is_what_is_stored(written, names):
    def prune(value):
        if isinstance(value, dict):
            return {name: prune(one) for name, one in value.items() if name not in names}
        return [prune(one) for one in value] if isinstance(value, list) else value

    stored = prune(written)
    assert without(written, frozenset(lacking(written, stored))) == stored
