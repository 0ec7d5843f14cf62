"""Autoscalers: one for each serving revision, and pods are theirs once they have taken them."""

from tests.harness.specs import model

AUTOSCALING = {"minReplicas": 2, "maxReplicas": 8}
SERVER = {"resources": {"requests": {"cpu": "100m"}}}


def fields() -> dict:
    return {"replicas": None, "autoscaling": AUTOSCALING, "server": SERVER}


def scale(life, name: str, replicas: int) -> None:
    """What the autoscaler does: it goes through the scale subresource under its own name."""
    body = {"spec": {"replicas": replicas}}
    life.objects.patch("Deployment", name, body, subresource="scale", manager="horizontal-pod-autoscaler")


def test_a_scaled_version_keeps_its_pods_and_a_candidate_gets_what_its_share_needs(life):
    life.begin("1", **fields())
    name = life.deployment("1")
    scaler = life.observer.until(lambda: life.observer.now("HorizontalPodAutoscaler", name), "it has an autoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 8)
    scale(life, name, 6)
    life.pods_are("1", 6)
    life.sentinel()
    assert life.observer.now("Deployment", name)["spec"]["replicas"] == 6
    life.apply("2", **fields())
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.pods_are("2", 3)
    assert life.observer.now("Deployment", name)["spec"]["replicas"] == 6
    life.accepted("Approve", "half")
    life.healthy("2")
    assert len(life.pods("2")) == 6


def test_a_candidate_that_its_autoscaler_has_grown_is_not_cut_back_by_a_step(life):
    life.begin("1", **fields())
    life.apply("2", **fields())
    life.waits("tenth")
    candidate = life.deployment("2")
    life.observer.until(lambda: life.observer.now("HorizontalPodAutoscaler", candidate), "it has an autoscaler")
    scale(life, candidate, 5)
    life.pods_are("2", 5)
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    counts = [sight.raw["spec"]["replicas"] for sight in life.observer.history("Deployment", candidate)]
    assert set(counts[counts.index(5) :]) == {5}, counts


def test_the_autoscaler_of_a_version_that_leaves_goes_with_it(life):
    cold = {"scaleDownDelay": "0s"}
    life.begin("1", rollout=cold, **fields())
    former = life.deployment("1")
    life.promote("2", rollout=cold, **fields())
    life.gone("HorizontalPodAutoscaler", former)
    life.gone("Deployment", former)
    assert [one["metadata"]["name"] for one in life.observer.all("HorizontalPodAutoscaler")] == [life.deployment("2")]


def test_autoscaling_can_be_given_up_for_a_fixed_number(life):
    life.begin("1", **fields())
    name = life.deployment("1")
    life.observer.until(lambda: life.observer.now("HorizontalPodAutoscaler", name), "it has an autoscaler")
    scale(life, name, 5)
    life.pods_are("1", 5)
    life.objects.apply(model("1", server=SERVER, replicas=3), manager="team")
    life.gone("HorizontalPodAutoscaler", name)
    life.pods_are("1", 3)
    life.healthy("1")
