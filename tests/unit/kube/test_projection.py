import pytest

from modelrollout.kube.projection import desired_digest, digest, intruders, observed_digest, owners, project


def observed(fields, manager="modelrollout", operation="Apply", **body):
    entry = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}
    return {"metadata": {"name": "d", "resourceVersion": "9", "managedFields": [entry]}, **body}


def test_only_our_apply_counts_not_an_update_of_ours_and_not_our_status():
    status = {"manager": "modelrollout", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}}
    raw = observed({"f:spec": {"f:a": {}}}, operation="Update", spec={"a": 1})
    raw["metadata"]["managedFields"].append(status)
    assert project(raw) is None
    assert observed_digest(raw) == ""


def test_a_leaf_is_taken_whole_whatever_it_holds():
    raw = observed({"f:spec": {"f:rules": {}}}, spec={"rules": [{"weight": 5}, {"weight": 95}], "other": 1})
    assert project(raw) == {"spec": {"rules": [{"weight": 5}, {"weight": 95}]}}


def test_elements_of_keyed_lists_are_found_by_their_keys_in_the_order_in_which_they_stand():
    fields = {
        "f:ports": {
            'k:{"containerPort":9,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
            'k:{"containerPort":8,"protocol":"UDP"}': {".": {}, "f:containerPort": {}, "f:name": {}},
        }
    }
    ports = [
        {"containerPort": 8, "protocol": "UDP", "name": "u"},
        {"containerPort": 8, "protocol": "TCP", "name": "foreign"},
        {"containerPort": 9, "protocol": "TCP", "name": "foreign"},
    ]
    assert project(observed(fields, ports=ports)) == {
        "ports": [{"containerPort": 8, "name": "u"}, {"containerPort": 9}]
    }


def test_values_of_sets_are_ours_one_by_one():
    raw = observed({"f:metadata": {"f:finalizers": {'v:"a"': {}}}})
    raw["metadata"]["finalizers"] = ["b", "a"]
    assert project(raw) == {"metadata": {"finalizers": ["a"]}}


@pytest.mark.parametrize("zero", [False, 0, "", [], {}, None])
def test_a_zero_value_of_ours_that_the_server_leaves_out_reads_as_it_was_sent(zero):
    stored = observed({"f:spec": {"f:readOnly": {}, "f:name": {}}}, spec={"name": "x"})
    manifest = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "d"}, "spec": {"readOnly": zero, "name": "x"}}
    assert observed_digest(stored) == desired_digest(manifest)
    assert observed_digest(stored) != desired_digest({**manifest, "spec": {"readOnly": True, "name": "x"}})
    assert observed_digest(stored) != desired_digest({**manifest, "spec": {"name": "x"}})


def test_a_field_that_another_took_over_is_missing_which_is_not_the_same_as_zero():
    ours = observed({"f:spec": {"f:replicas": {}, "f:name": {}}}, spec={"replicas": 0, "name": "x"})
    taken = observed({"f:spec": {"f:name": {}}}, spec={"replicas": 1, "name": "x"})
    removed = observed({"f:spec": {"f:name": {}}}, spec={"name": "x"})
    assert len({observed_digest(ours), observed_digest(taken)}) == 2
    assert observed_digest(taken) == observed_digest(removed)


def test_the_order_of_keys_makes_no_difference_and_the_order_of_lists_does():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest({"a": "1"}) != digest({"a": 1})


def test_intruders_are_named_with_what_they_added_and_not_for_what_they_agree_with():
    ours = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"server"}': {".": {}, "f:image": {}}}}}}}
    theirs = {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"server"}': {".": {}, "f:image": {}},
                        'k:{"name":"proxy"}': {".": {}, "f:image": {}},
                    }
                }
            }
        }
    }
    raw = observed(ours)
    raw["metadata"]["managedFields"].append({"manager": "mesh", "operation": "Update", "fieldsV1": theirs})
    assert intruders(raw, ("spec", "template")) == ("mesh: spec.containers[proxy].image",)
    assert intruders(raw, ("metadata",)) == ()
    assert owners(raw, ("spec", "template")) == {"modelrollout", "mesh"}
    assert owners(raw, ("spec", "replicas")) == frozenset()
