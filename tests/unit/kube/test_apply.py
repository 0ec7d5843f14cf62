import pytest

from modelrollout.kube.apply import Applied, Applier, Foreign, Unchanged, seen
from modelrollout.kube.errors import Conflict, OutcomeUnknown
from modelrollout.kube.kinds import SERVICE, Ref
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop

REF = Ref(SERVICE, "ml", "fraud")
OWNER = "owner-uid"


def service(port=80):
    owner = {"apiVersion": "v1", "kind": "X", "name": "fraud", "uid": OWNER, "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ml", "name": "fraud", "ownerReferences": [owner]},
        "spec": {"ports": [{"port": port, "protocol": "TCP"}], "selector": {"image": "short/name"}},
    }


class Rewriting(FakeKube):
    """A server with a webhook that writes the selector in another way."""

    def _store(self, ref, body, owned):
        spec = {**body["spec"], "selector": {"image": "mirror.example.com/short/name"}}
        return super()._store(ref, {**body, "spec": spec}, owned)


@in_loop
async def test_a_server_that_stores_it_otherwise_is_written_to_once_and_not_for_ever():
    api = Rewriting()
    applier = Applier(api)
    assert isinstance(await applier.ensure(service(), None, owner=OWNER), Applied)
    for _ in range(3):
        assert isinstance(await applier.ensure(service(), seen(api.peek(REF)), owner=OWNER), Unchanged)
        assert applier.as_wanted(service(), seen(api.peek(REF)))
    assert api.writes() == {("APPLY", "Service"): 1}
    # Another wish is written, and what others change besides is still put right.
    assert isinstance(await applier.ensure(service(81), seen(api.peek(REF)), owner=OWNER), Applied)
    api.edit(REF, lambda raw: raw["spec"].update(ports=[{"port": 9, "protocol": "TCP"}]))
    assert isinstance(await applier.ensure(service(81), seen(api.peek(REF)), owner=OWNER), Applied)
    assert {"port": 81, "protocol": "TCP"} in api.peek(REF)["spec"]["ports"]


@in_loop
async def test_after_a_restart_what_was_accepted_is_learnt_anew_by_one_write_that_changes_nothing():
    api = Rewriting()
    await Applier(api).ensure(service(), None, owner=OWNER)
    version, restarted = api.version, Applier(api)
    assert isinstance(await restarted.ensure(service(), seen(api.peek(REF)), owner=OWNER), Applied)
    assert isinstance(await restarted.ensure(service(), seen(api.peek(REF)), owner=OWNER), Unchanged)
    assert api.version == version


@in_loop
async def test_a_new_object_is_looked_for_before_it_is_made():
    api = FakeKube()
    await Applier(api).ensure(service(), None, owner=OWNER)
    assert [request.verb for request in api.requests] == ["GET", "APPLY"]


@in_loop
async def test_a_conflict_goes_to_the_caller_and_nothing_is_sent_again():
    api = FakeKube()
    applier = Applier(api)
    old = seen((await applier.ensure(service(), None, owner=OWNER)).raw)
    api.edit(REF, lambda raw: raw["metadata"].update(labels={"a": "b"}))
    api.requests.clear()
    with pytest.raises(Conflict):
        await applier.ensure(service(81), old, owner=OWNER)
    assert [request.verb for request in api.requests] == ["APPLY"]


@in_loop
async def test_an_unknown_outcome_is_passed_on_and_the_next_look_finds_out():
    api = FakeKube()
    applier = Applier(api)

    def lose(request):
        if request.write:
            raise OutcomeUnknown("the answer was lost")

    api.after.append(lose)
    with pytest.raises(OutcomeUnknown):
        await applier.ensure(service(), None, owner=OWNER)
    api.after.clear()
    found = await applier.ensure(service(), None, owner=OWNER)
    assert isinstance(found, Applied)
    assert not found.written


@in_loop
async def test_an_object_of_another_owner_costs_no_write_whether_it_is_known_or_found():
    api = FakeKube()
    api.put(service())
    applier = Applier(api)
    known = await applier.ensure(service(), seen(api.peek(REF)), owner="another")
    found = await applier.ensure(service(), None, owner="another")
    assert known == Foreign(REF, f"controlled by the owner with uid {OWNER}")
    assert found == Foreign(REF, "controlled by X fraud")
    assert api.writes() == {}
