import pytest

from modelrollout.runtime.store import OWNER_LABEL, Store, Watched, WentBackError, owner_by_name

FRAUD, OTHER = ("ml", "fraud"), ("ml", "other")


def thing(name, version, *, uid="u1", owner="fraud", value=1, **metadata):
    return {
        "metadata": {
            "namespace": "ml",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {OWNER_LABEL: owner} if owner else {},
            **metadata,
        },
        "spec": {"value": value},
        "status": {"heartbeat": version},
    }


@pytest.fixture
def woken():
    return []


@pytest.fixture
def store(woken):
    watched = Watched(lambda raw: raw["spec"]["value"])
    return Store({"Child": watched, "Owner": Watched(lambda raw: raw["spec"]["value"], owner_by_name)}, woken.append)


def test_a_change_of_the_view_wakes_the_owner_and_any_other_change_only_moves_the_version(store, woken):
    assert store.observe("Child", thing("a", 10))
    assert not store.observe("Child", thing("a", 11))
    assert woken == [FRAUD]
    assert store.get("Child", ("ml", "a")).resource_version == "11"
    assert store.observe("Child", thing("a", 12, value=2))
    assert woken == [FRAUD, FRAUD]


def test_the_answer_to_an_own_write_counts_at_once_and_older_events_are_ignored(store, woken):
    store.observe("Child", thing("a", 10))
    store.took("Child", thing("a", 20, value=9))
    assert not store.observe("Child", thing("a", 15, value=5))
    assert not store.observe("Child", thing("a", 20, value=9))
    assert store.get("Child", ("ml", "a")).view == 9
    assert woken == [FRAUD, FRAUD]


def test_versions_are_compared_as_numbers(store):
    store.observe("Child", thing("a", 9))
    assert store.observe("Child", thing("a", 10, value=2))
    assert not store.observe("Child", thing("a", 9, value=3))


def test_a_deletion_older_than_the_object_that_took_the_name_is_ignored(store):
    store.observe("Child", thing("a", 10, uid="u1"))
    store.took("Child", thing("a", 30, uid="u2"))
    assert not store.observe("Child", thing("a", 20, uid="u1"), deleted=True)
    assert store.get("Child", ("ml", "a")).uid == "u2"


def test_an_object_made_anew_with_the_same_content_is_a_change(store, woken):
    store.observe("Child", thing("a", 10, uid="u1"))
    assert store.observe("Child", thing("a", 30, uid="u2"))
    assert len(woken) == 2


def test_a_late_answer_or_an_old_list_does_not_bring_the_dead_back(store):
    store.observe("Child", thing("a", 10))
    store.observe("Child", thing("a", 20), deleted=True)
    assert not store.took("Child", thing("a", 15, value=5))
    store.replace("Child", [thing("a", 12)], "18")
    assert store.get("Child", ("ml", "a")) is None


def test_an_object_that_left_the_watch_by_its_label_comes_back_with_it(store):
    store.observe("Child", thing("a", 10))
    store.observe("Child", thing("a", 20, owner=None), deleted=True)
    assert store.observe("Child", thing("a", 21))
    assert store.children(FRAUD, "Child")[0][0] == "a"


def test_a_full_list_drops_what_has_vanished_but_not_what_was_written_after_it(store, woken):
    store.observe("Child", thing("gone", 10))
    store.observe("Child", thing("stays", 11))
    store.took("Child", thing("new", 30))
    woken.clear()
    store.replace("Child", [thing("stays", 11)], "20")
    assert [name for name, _ in store.children(FRAUD, "Child")] == ["new", "stays"]
    assert woken == [FRAUD]


def test_a_relist_is_remembered_until_a_full_list_that_was_asked_for_after_it(store):
    assert store.relisted() == frozenset()
    store.observe("Child", thing("a", 10), listed=True)
    assert store.relisted() == {"Child"}
    listing = store.listing("Child")
    listing.add(thing("a", 10))
    store.observe("Child", thing("a", 10), listed=True)  # the watch begins anew while the list is under way
    listing.end("40")
    assert store.relisted() == {"Child"}
    store.replace("Child", [thing("a", 10)], "50")
    assert store.relisted() == frozenset()


def test_a_list_that_is_never_ended_drops_nothing(store):
    store.observe("Child", thing("a", 10), listed=True)
    store.listing("Child").add(thing("b", 12))
    assert store.count("Child") == 2
    assert store.relisted() == {"Child"}


def test_a_consistent_list_from_before_what_was_seen_means_a_restored_cluster(store):
    store.observe("Child", thing("a", 500))
    with pytest.raises(WentBackError, match="500"):
        store.listing("Child").end("400", consistent=True)
    store.listing("Child").end("400")  # from a cache this is normal
    assert store.count("Child") == 1


def test_a_child_that_changes_hands_wakes_both_owners(store, woken):
    store.observe("Child", thing("a", 10))
    woken.clear()
    store.observe("Child", thing("a", 11, owner="other"))
    assert woken == [FRAUD, OTHER]
    assert store.children(FRAUD, "Child") == []
    assert [name for name, _ in store.children(OTHER, "Child")] == ["a"]


def test_a_child_that_loses_its_label_wakes_the_former_owner_and_is_kept(store, woken):
    store.observe("Child", thing("a", 10))
    woken.clear()
    store.observe("Child", thing("a", 11, owner=None))
    assert woken == [FRAUD]
    assert store.get("Child", ("ml", "a")).owner is None


def test_an_owner_wakes_itself(store, woken):
    store.observe("Owner", thing("fraud", 10, owner=None))
    assert woken == [FRAUD]
    assert store.children(FRAUD, "Owner")[0][1].view == 1


def test_a_fresh_read_that_finds_nothing_drops_what_it_was_about_and_nothing_newer(store):
    store.observe("Child", thing("a", 10))
    store.took("Child", thing("a", 12))
    store.missing("Child", ("ml", "a"), seen=10)
    assert store.count("Child") == 1
    store.missing("Child", ("ml", "a"), seen=12)
    assert store.count("Child") == 0
    store.missing("Child", ("ml", "a"), seen=12)


def test_what_is_no_longer_ours_is_gone_by_whatever_way_it_is_learnt_and_no_answer_brings_it_back(woken):
    mine = Watched(
        lambda raw: raw["spec"]["value"], owner_by_name, lambda raw: raw["metadata"]["labels"].get("shard") == "a"
    )
    store = Store({"Owner": mine}, woken.append)
    in_a, in_b = {"labels": {"shard": "a"}}, {"labels": {"shard": "b"}}
    store.observe("Owner", thing("fraud", 10, **in_a))
    assert store.took("Owner", thing("fraud", 12, **in_b))  # read before the watch tells
    assert store.get("Owner", FRAUD) is None
    assert woken == [FRAUD, FRAUD]
    store.observe("Owner", thing("fraud", 11, **in_b), deleted=True)
    assert not store.took("Owner", thing("fraud", 13, **in_b))
    assert not store.took("Owner", thing("fraud", 10, **in_a))
    assert store.count("Owner") == 0
    assert store.observe("Owner", thing("fraud", 14, **in_a))
    assert not store.took("Owner", thing("fraud", 13, **in_b))  # late
    assert store.count("Owner") == 1
