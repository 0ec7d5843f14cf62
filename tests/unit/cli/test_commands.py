"""The commands as from a shell: what they print, what they create, how they exit."""

import asyncio
import json
import re

import pytest
import yaml

from modelrollout.cli.app import PROGRAM
from modelrollout.cli.app import run as run_plugin
from modelrollout.kube.errors import Forbidden, Invalid, NotFound, OutcomeUnknown, Unauthorized, Unreachable
from modelrollout.kube.kinds import DEPLOYMENT, Ref
from tests.unit.cli import samples
from tests.unit.cli.cluster import FakeCluster


def accepting(item: dict, message: str = "done") -> FakeCluster:
    cluster = FakeCluster(item)
    cluster.operator("Accepted", message)
    return cluster


def test_approve_prints_what_the_operator_says_and_what_comes_then(run):
    cluster = accepting(samples.waiting(), "step weight-25 of revision 2-7c9f4a1b approved by alice@example.com")
    said = run(cluster, "approve", "fraud", "--reason", "metrics look good")

    assert said.code == 0
    assert said.out == "fraud: step weight-25 of revision 2-7c9f4a1b approved by alice@example.com; then 50 %\n"
    (command,) = cluster.commands
    assert command["spec"] == {
        "target": "fraud",
        "action": "Approve",
        "revision": "2-7c9f4a1b",
        "step": "weight-25",
        "by": "alice@example.com",
        "reason": "metrics look good",
    }


def test_a_refusal_is_one_line_and_exit_code_1(run):
    cluster = FakeCluster(samples.waiting())
    cluster.operator("Refused", "step weight-25 was already approved by bob")
    said = run(cluster, "approve", "fraud")
    assert (said.code, said.out) == (1, "")
    assert said.err == "error: fraud: refused: step weight-25 was already approved by bob\n"


def test_a_command_that_nobody_takes_is_exit_code_3_and_stays(run):
    cluster = FakeCluster(samples.waiting())
    said = run(cluster, "pause", "fraud", "--timeout", "0s")
    assert said.code == 3
    name = cluster.commands[0]["metadata"]["name"]
    assert f"`kubectl -n ml get rolloutcommand {name}`" in said.err


@pytest.mark.parametrize(
    ("verb", "item", "begins"),
    [
        ("promote", samples.waiting, "fraud: promoting version 2: all traffic"),
        ("abort", samples.waiting, "fraud: taking version 2 back: its 25 % of traffic goes to version 1 at once"),
    ],
)
def test_far_reaching_commands_say_beforehand_what_they_do(run, verb, item, begins):
    said = run(accepting(item(), "as asked"), verb, "fraud")
    first, second = said.out.splitlines()
    assert first.startswith(begins)
    assert second == "fraud: as asked"


@pytest.mark.parametrize(
    ("verb", "item"), [("pause", samples.waiting), ("resume", samples.paused), ("retry", samples.rolled_back)]
)
def test_other_commands_print_the_outcome_alone(run, verb, item):
    cluster = accepting(item(), "as asked")
    said = run(cluster, verb, "fraud")
    assert (said.code, said.out) == (0, "fraud: as asked\n")
    assert cluster.commands[0]["spec"]["action"] == verb.capitalize()


def test_nothing_is_created_where_nothing_can_be_asked_for(run):
    cluster = FakeCluster(samples.healthy())
    said = run(cluster, "approve", "fraud")
    assert said.code == 1
    assert said.err.startswith("error: fraud: nothing to approve: no rollout is under way")
    assert cluster.commands == []


@pytest.mark.parametrize(
    "name", ["fraud", "mdep/fraud", "modeldeployment/fraud", "modeldeployments.modelrollout.dev/fraud"]
)
def test_names_may_be_written_as_kubectls_users_do(run, name):
    assert run(FakeCluster(samples.healthy()), "status", name).code == 0


def test_another_kind_is_refused_by_name(run):
    said = run(FakeCluster(samples.healthy()), "status", "deploy/fraud")
    assert said.err == 'error: "deploy/fraud" is a deploy: name a ModelDeployment, such as mdep/fraud\n'


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (
            NotFound('modeldeployments.modelrollout.dev "fraud" not found', code=404),
            4,
            'no ModelDeployment "fraud" in namespace "ml"',
        ),
        (NotFound("404 page not found", code=404), 4, "install ModelRollout"),
        (Forbidden('User "bob" cannot get', code=403), 4, 'not allowed: User "bob" cannot get'),
        (Unauthorized("Unauthorized", code=401), 4, "log in again"),
        (Unreachable("refused"), 4, "no connection to the API server: refused"),
        (OutcomeUnknown("timed out", request="POST x"), 4, "not known what became of POST x"),
        (Invalid("spec.step: too long", code=422), 1, "spec.step: too long"),
    ],
)
def test_each_error_is_one_line_with_its_exit_code(run, fault, code, words):
    cluster = FakeCluster(samples.healthy())
    cluster.faults = [fault]
    said = run(cluster, "status", "fraud")
    assert said.code == code
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err


def test_debug_shows_the_traceback(run):
    cluster = FakeCluster(samples.healthy())
    cluster.faults = [Unreachable("refused")]
    with pytest.raises(Unreachable):
        run(cluster, "--debug", "status", "fraud")


def test_options_may_stand_before_and_behind_the_command(run):
    item = samples.healthy()
    item["metadata"]["namespace"] = "other"
    assert run(FakeCluster(item), "-n", "other", "status", "fraud").code == 0
    assert run(FakeCluster(item), "status", "fraud", "--namespace", "other").code == 0
    assert run(FakeCluster(item), "-n", "wrong", "status", "fraud", "-n", "other").code == 0
    assert run(FakeCluster(item), "status", "fraud").code == 4


def test_status_is_drawn_at_the_width_of_the_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    said = run(FakeCluster(samples.waiting()), "status", "fraud")
    assert max(len(line) for line in said.out.splitlines()) <= 60
    assert "▶ 25 % 30m of 30m (approval)" in said.out


def test_status_reads_the_plan_from_its_record(run):
    item = samples.waiting()
    item["status"]["plan"] = "fraud-plan-0badcafe"
    item["spec"]["rollout"] = {"steps": [{"weight": 100}]}
    cluster = FakeCluster(item)
    cluster.fake.put(
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": "fraud-plan-0badcafe",
                "namespace": "ml",
                "labels": {"modelrollout.dev/record": "plan"},
            },
            "data": {"format": 1, "digest": "0badcafe", "spec": {"rollout": {"steps": samples.STEPS}}, "metrics": []},
            "revision": 1,
        }
    )
    assert "· 100 % 1h (bake)" in run(cluster, "status", "fraud").out


def test_status_without_its_record_goes_by_the_spec(run):
    item = samples.waiting()
    item["status"]["plan"] = "fraud-plan-gone"
    assert "· 100 % 1h (bake)" in run(FakeCluster(item), "status", "fraud").out


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_status_for_machines(run, form, load):
    body = load(run(FakeCluster(samples.waiting()), "status", "fraud", "-o", form).out)
    assert body["kind"] == "RolloutStatus"
    assert body["revisions"][1]["weight"] == "25"


def test_watch_prints_each_state_once_where_there_is_no_terminal(run, monkeypatch):
    cluster = FakeCluster(samples.waiting())
    watch, states = cluster.watch, iter([samples.paused])

    async def short_watch(ref, version):
        """A watch that ends after one change; somebody makes that change as soon as it has begun."""
        state = next(states, None)
        change = (cluster.load, state()) if state else (cluster.fake.remove, ref)
        asyncio.get_running_loop().call_soon(*change)
        async for found in watch(ref, version):
            yield found
            return

    monkeypatch.setattr(cluster, "watch", short_watch)
    said = run(cluster, "status", "fraud", "--watch")
    assert said.code == 1
    assert said.out.count("Paused: ApprovalRequired") == 1
    assert said.out.count("Paused: PausedByCommand") == 1
    assert said.err == "error: fraud was deleted\n"


def test_get_is_kubectls_table(run):
    waiting, new = samples.waiting(), samples.new()
    new["metadata"]["name"] = "another"
    said = run(FakeCluster(waiting, new), "get")
    lines = [re.sub(r"\s+\S+$", "", line) for line in said.out.splitlines()]
    assert lines == [
        "NAME      STABLE   CANDIDATE   WEIGHT   STEP   STATUS   READY   REASON",
        "another   -        -           -        -      -        -       -",
        "fraud     1        2           25       2/4    Paused   3/3     ApprovalRequired",
    ]


def test_get_of_all_namespaces_shows_them(run):
    other = samples.healthy()
    other["metadata"]["namespace"] = "prod"
    said = run(FakeCluster(samples.waiting(), other), "get", "-A")
    assert [line.split()[:2] for line in said.out.splitlines()] == [
        ["NAMESPACE", "NAME"],
        ["ml", "fraud"],
        ["prod", "fraud"],
    ]


def test_get_for_machines_is_the_object_or_a_list(run):
    cluster = FakeCluster(samples.waiting())
    assert json.loads(run(cluster, "get", "fraud", "-o", "json").out)["kind"] == "ModelDeployment"
    listed = json.loads(run(cluster, "get", "-o", "json").out)
    assert (listed["kind"], listed["items"][0]["kind"]) == ("List", "ModelDeployment")
    assert run(cluster, "get", "-o", "name").out == "modeldeployment.modelrollout.dev/fraud\n"
    assert "waits for approval" in run(cluster, "get", "-o", "wide").out


def test_get_of_an_empty_namespace_says_so_on_stderr(run):
    said = run(FakeCluster(), "get")
    assert (said.code, said.out) == (0, "")
    assert said.err == 'There are no ModelDeployments in namespace "ml".\n'


def test_history_shows_rollouts_weights_and_commands(run):
    said = run(FakeCluster(samples.former_warm()), "history", "fraud")
    assert said.out.splitlines() == [
        "ENDED                  VERSION   REVISION     OUTCOME    TOOK    REASON     MESSAGE",
        "2026-07-26 14:19:30Z   2         2-7c9f4a1b   Promoted   3h19m   Promoted   Version 2 serves all traffic.",
        "",
        "WEIGHT SET             REVISION     WEIGHT   REASON",
        "2026-07-26 11:01:00Z   2-7c9f4a1b   5 %      step weight-5",
        "2026-07-26 11:41:00Z   2-7c9f4a1b   12.5 %   step weight-12.5",
        "2026-07-26 13:19:30Z   2-7c9f4a1b   100 %    Approved",
        "",
        "COMMAND TAKEN          ACTION    BY                  OUTCOME    MESSAGE",
        "2026-07-26 13:19:29Z   Approve   alice@example.com   Accepted   step weight-25 of revision 2-7c9f4a1b approved",
    ]


def test_history_for_machines_is_as_in_status(run):
    body = json.loads(run(FakeCluster(samples.former_warm()), "history", "fraud", "-o", "json").out)
    assert body["kind"] == "RolloutHistory"
    assert body["timeline"][1]["weight"] == "12.5%"


def test_a_new_object_has_no_history(run):
    assert run(FakeCluster(samples.new()), "history", "fraud").out == "fraud: nothing has been rolled out yet\n"


def with_children(item: dict) -> FakeCluster:
    cluster = FakeCluster(item)
    for found in item["status"]["revisions"]:
        name = f"fraud-{found['revision']}"
        cluster.fake.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "ml"},
                "spec": {"template": {"metadata": {"annotations": {"team": "risk"}}}},
            }
        )
    return cluster


def test_restart_annotates_the_templates_of_all_that_serve(run):
    cluster = with_children(samples.waiting())
    said = run(cluster, "restart", "fraud")
    assert said.out.splitlines() == [
        "deployment.apps/fraud-1-5d8c7b20 restarted (version 1, 75 % of traffic)",
        "deployment.apps/fraud-2-7c9f4a1b restarted (version 2, 25 % of traffic)",
    ]
    stored = cluster.fake.peek(Ref(DEPLOYMENT, "ml", "fraud-2-7c9f4a1b"))
    annotations = stored["spec"]["template"]["metadata"]["annotations"]
    assert annotations["team"] == "risk"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", annotations["kubectl.kubernetes.io/restartedAt"])


def test_restart_leaves_what_does_not_serve(run):
    said = run(with_children(samples.former_warm()), "restart", "fraud")
    assert said.out == "deployment.apps/fraud-2-7c9f4a1b restarted (version 2, 100 % of traffic)\n"


def test_restart_with_nothing_serving_is_refused(run):
    said = run(FakeCluster(samples.new()), "restart", "fraud")
    assert (said.code, said.err) == (1, "error: fraud: nothing to restart: no version has traffic\n")


def test_restart_names_a_deployment_that_is_not_there(run):
    said = run(FakeCluster(samples.healthy()), "restart", "fraud")
    assert (said.code, said.err) == (4, 'error: fraud: Deployment "fraud-1-5d8c7b20" of version 1 does not exist\n')


@pytest.mark.parametrize(("state", "code"), [("rolled-back", 1), ("failed", 1), ("invalid", 1), ("waiting", 2)])
def test_wait_exits_by_the_end(run, state, code):
    assert (
        run(FakeCluster(samples.STATES[state]()), "wait", "fraud", "--timeout", "0s" if code == 2 else "5s").code
        == code
    )


def test_wait_for_paused(run):
    said = run(FakeCluster(samples.waiting()), "wait", "fraud", "--for", "paused")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("fraud: Step 2 of 4 waits for approval")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["status"], "Missing argument 'NAME'"),
        (["status", "fraud", "--colour"], "No such option: --colour"),
        (["status", "fraud", "-o", "xml"], "'xml' is not one of 'json', 'yaml'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_64(words, says, capsys):
    with pytest.raises(SystemExit) as ended:
        run_plugin(words)
    assert ended.value.code == 64
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert says in said.err
    assert f"({PROGRAM} --help)" in said.err


def test_a_duration_that_is_none_names_the_option(run):
    said = run(None, "wait", "fraud", "--timeout", "soon")
    assert said.code == 64
    assert said.err == "error: --timeout soon: write a duration such as 90s, 30m, 1h30m or 2d\n"
