from modelrollout.kube.kinds import POD, Ref
from modelrollout.kube.pods import TEXT_LIMIT, pod_facts, read_pods
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop


def pod(name="fraud-1-5d8c7b20-abc", **status):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "ml", "name": name, "uid": "u", "creationTimestamp": "2030-01-01T00:00:00Z"},
        "status": status,
    }


def condition(kind, status, **more):
    return {"type": kind, "status": status, "lastTransitionTime": "2030-01-01T00:01:00Z", **more}


def container(name="server", restarts=0, state=None, last=None, image="x:1"):
    return {"name": name, "restartCount": restarts, "state": state or {}, "lastState": last or {}, "image": image}


def test_a_ready_pod_says_since_when():
    facts = pod_facts(pod(phase="Running", conditions=[condition("Ready", "True")], containerStatuses=[container()]))
    assert facts.ready_since == facts.created + 60
    assert facts.phase == "Running"
    assert (facts.waiting_reason, facts.terminated_reason, facts.exit_code, facts.container) == ("", "", None, "")


def test_a_pod_that_was_just_made_has_no_status_and_no_complaint():
    facts = pod_facts(pod())
    assert facts.ready_since is None
    assert facts.restarts == 0
    assert facts.unschedulable == ""


def test_a_crash_loop_tells_the_last_words_of_the_container_and_counts_all_restarts():
    died = {
        "terminated": {"exitCode": 1, "reason": "Error", "message": "Traceback\n" + "x" * 500 + "\nKeyError: 'model'"}
    }
    facts = pod_facts(
        pod(
            phase="Running",
            conditions=[condition("Ready", "False")],
            containerStatuses=[
                container("proxy", restarts=1),
                container(
                    restarts=4, state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, last=died
                ),
            ],
        )
    )
    assert facts.container == "server"
    assert facts.restarts == 5
    assert facts.waiting_reason == "CrashLoopBackOff"
    assert facts.exit_code == 1
    assert facts.terminated_message.endswith("KeyError: 'model'")
    assert len(facts.terminated_message) == TEXT_LIMIT
    assert facts.ready_since is None


def test_an_image_that_cannot_be_pulled_is_named_even_in_an_init_container():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "y:9"'}}
    facts = pod_facts(
        pod(initContainerStatuses=[container("fetch", state=waiting, image="y:9")], containerStatuses=[container()])
    )
    assert facts.image_trouble == 'ImagePullBackOff: y:9: Back-off pulling image "y:9"'
    assert facts.container == "fetch"


def test_a_container_that_is_still_being_created_is_not_the_worst():
    died = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    creating = {"waiting": {"reason": "ContainerCreating"}}
    facts = pod_facts(pod(containerStatuses=[container("a", state=creating), container("b", restarts=1, last=died)]))
    assert (facts.container, facts.terminated_reason, facts.exit_code) == ("b", "OOMKilled", 137)


def test_a_pod_that_fits_nowhere_says_why_in_at_most_the_limit():
    message = "0/3 nodes are available: " + "3 Insufficient nvidia.com/gpu. " * 20
    facts = pod_facts(pod(phase="Pending", conditions=[condition("PodScheduled", "False", message=message)]))
    assert facts.unschedulable.startswith("0/3 nodes")
    assert len(facts.unschedulable) == TEXT_LIMIT


def test_a_pod_on_its_way_out_is_marked():
    raw = pod()
    raw["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:10Z"
    assert pod_facts(raw).deleted


@in_loop
async def test_pods_of_a_revision_are_listed_by_label_from_what_the_server_has_at_hand():
    api = FakeKube()
    for name, labels in (("b", {"rev": "1"}), ("a", {"rev": "1"}), ("c", {"rev": "2"})):
        api.put({**pod(name), "metadata": {"namespace": "ml", "name": name, "labels": labels}})
    api.set_status(Ref(POD, "ml", "a"), {"phase": "Running"})
    found = await read_pods(api, "ml", "rev=1")
    assert [facts.name for facts in found] == ["a", "b"]
    assert found[0].phase == "Running"
    assert api.requests[0].resource_version == "0"
