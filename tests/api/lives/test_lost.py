"""What is recorded is lost: the state is read from the cluster."""

from tests.harness.apiserver import Json


def wipe(life) -> None:
    """Remove the status, as a restore from a backup without status does."""
    life.objects.change("ModelDeployment", "fraud", lambda raw: raw.pop("status", None), "status")


def stopped_and_wiped(life) -> Json:
    life.operator.kill()
    before = life.status
    wipe(life)
    life.observer.until(lambda: not life.status, "the status is lost")
    return before


def test_a_lost_status_is_read_from_the_cluster_and_nothing_restarts(life):
    life.excused.add("every_weight_has_an_entry_in_the_timeline")
    life.begin("1")
    life.promote("2")
    pods = life.pods("2").keys()
    stopped_and_wiped(life)
    life.operator.start(wait=False)
    life.healthy("2")
    life.carries(v2=100)
    assert life.pods("2").keys() == pods
    assert life.timeline()[-1] == ("2", 100)


def test_a_status_lost_in_mid_rollout_gives_all_traffic_to_the_version_with_the_most(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    pods = life.pods("1").keys()
    stopped_and_wiped(life)
    life.operator.start(wait=False)
    life.until(lambda status: status["summary"]["stable"] == "1", "version 1 is stable")
    life.waits("tenth")
    life.carries(v1=90, v2=10)
    assert life.pods("1").keys() == pods


def test_a_status_lost_under_a_running_operator_is_found_again(life):
    life.begin("1")
    pods = life.pods("1").keys()
    wipe(life)
    life.healthy("1")
    assert life.pods("1").keys() == pods
    life.carries(v1=100)
