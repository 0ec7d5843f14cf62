"""The kubectl plugin as a program of its own against the real API server; status is written by hand, as an operator would."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

import pytest
import yaml

from tests.api.kubectl import Answer, Kubectl, deployment, until
from tests.unit.cli import samples

pytestmark = pytest.mark.cluster

OPERATOR = Path(__file__).parents[2] / "operator"
SPEC = {
    "version": "2",
    "server": {"image": "registry.example.com/fraud:2"},
    "rollout": {"steps": samples.STEPS},
    "analysis": {"mode": "None"},
}
READY = [{"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-07-26T14:19:30Z"}]
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from modelrollout.cli import main; main()"
)
"""An interrupt is heard, as on a terminal, also where the tests run in the background of a shell."""


class Plugin:
    """Runs the plugin in the namespace of a test."""

    def __init__(self, space: Kubectl) -> None:
        self.space = space
        self.environment = {**space.environment, "PYTHONPATH": str(OPERATOR), "COLUMNS": "100"}

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "-n", self.space.namespace, *words],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, **environment: str) -> Answer:
        return ended(self.start(*words, **environment))


def ended(process: "subprocess.Popen[str]", seconds: float = 60) -> Answer:
    out, err = process.communicate(timeout=seconds)
    return Answer(process.returncode, out, err)


@pytest.fixture
def plugin(space) -> Plugin:
    return Plugin(space)


def load(space: Kubectl, sample: dict, name: str = "fraud") -> None:
    """Create the object if need be, and write the sample's status as of its current generation."""
    answer = space.apply(deployment(SPEC, name))
    assert answer.code == 0, answer.err
    generation = json.loads(space.ok("get", "mdep", name, "-o", "json"))["metadata"]["generation"]
    status(space, sample["status"] | {"observedGeneration": generation}, name)


def status(space: Kubectl, change: dict, name: str = "fraud", kind: str = "mdep") -> None:
    space.ok("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": change}))


def commands(space: Kubectl) -> list[dict]:
    return json.loads(space.ok("get", "rolloutcommands", "-o", "json"))["items"]


def take(space: Kubectl, outcome: str, message: str) -> dict:
    """Take the only command as an operator does, as soon as it is there."""
    (command,) = until(lambda: commands(space), "a command was created")
    status(space, {"outcome": outcome, "message": message}, command["metadata"]["name"], "rolloutcommand")
    return command


def user(space: Kubectl) -> str:
    answer = json.loads(space.ok("auth", "whoami", "-o", "json"))
    return answer["status"]["userInfo"]["username"]


def test_an_approval_is_an_object_in_the_users_name_and_its_outcome_is_printed(plugin, space):
    load(space, samples.waiting())
    asking = plugin.start("approve", "fraud", "--reason", "looks good", "--timeout", "60s")
    command = take(space, "Accepted", "step weight-25 of revision 2-7c9f4a1b approved")
    said = ended(asking)

    assert (said.code, said.err) == (0, "")
    assert said.out == "fraud: step weight-25 of revision 2-7c9f4a1b approved; then 50 %\n"
    assert command["spec"] == {
        "target": "fraud",
        "action": "Approve",
        "revision": "2-7c9f4a1b",
        "step": "weight-25",
        "by": user(space),
        "reason": "looks good",
    }
    assert command["metadata"]["name"].startswith("fraud-")
    columns = space.ok("get", "rolloutcommands").splitlines()[1].split()
    assert columns[1:4] == ["fraud", "Approve", "weight-25"]


def test_a_refusal_ends_with_1_and_silence_with_3(plugin, space):
    load(space, samples.waiting())
    asking = plugin.start("abort", "fraud", "--timeout", "60s")
    command = take(space, "Refused", "it was already taken back")
    said = ended(asking)
    assert said.code == 1
    assert said.err == "error: fraud: refused: it was already taken back\n"
    assert said.out.startswith("fraud: taking version 2 back")

    space.ok("delete", "rolloutcommand", command["metadata"]["name"])
    said = plugin("pause", "fraud", "--timeout", "1s")
    assert said.code == 3
    assert "was not taken within 1 s" in said.err


def test_commands_go_with_their_target(plugin, space):
    load(space, samples.waiting())
    assert plugin("pause", "fraud", "--timeout", "0s").code == 3
    assert len(commands(space)) == 1
    space.ok("delete", "mdep", "fraud")
    until(lambda: not commands(space), "the command was collected", seconds=60)


def test_get_tells_what_kubectl_tells(plugin, space):
    load(space, samples.waiting())
    theirs, ours = space.ok("get", "mdep").splitlines(), plugin("get").out.splitlines()
    assert ours[0] == theirs[0]
    assert ours[1].split()[:-1] == theirs[1].split()[:-1]


def test_status_shows_the_stored_state(plugin, space):
    load(space, samples.waiting())
    said = plugin("status", "fraud")
    assert said.code == 0
    assert f"fraud ({space.namespace})   Paused: ApprovalRequired" in said.out
    assert "▶ 25 % 30m of 30m (approval)" in said.out


def test_watch_shows_a_change_and_ends_quietly_with_an_interrupt(plugin, space):
    load(space, samples.waiting())
    watching = plugin.start("status", "fraud", "--watch", "-o", "json")
    assert json.loads(watching.stdout.readline())["reason"] == "ApprovalRequired"
    load(space, samples.paused())
    until(lambda: json.loads(watching.stdout.readline())["reason"] == "PausedByCommand", "the change was shown")
    watching.send_signal(signal.SIGINT)
    said = ended(watching)
    assert (said.code, said.err) == (130, "")


def promote(space: Kubectl) -> None:
    load(space, {"status": samples.former_warm()["status"] | {"rollout": None, "step": None, "conditions": READY}})


def test_wait_ends_with_the_promotion(plugin, space):
    load(space, samples.waiting())
    waiting = plugin.start("wait", "fraud", "--timeout", "2m")
    assert "Paused  version 2 at 25 %" in waiting.stdout.readline()
    promote(space)
    said = ended(waiting)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "fraud: version 2 is promoted"


def test_wait_ends_with_a_rejection_and_with_the_time(plugin, space):
    load(space, samples.rolled_back())
    said = plugin("wait", "fraud")
    assert said.code == 1
    assert "errors 19.8 % against 0.5 %" in said.err
    load(space, samples.waiting())
    assert plugin("wait", "fraud", "--timeout", "1s").code == 2


def test_wait_ends_when_another_version_is_asked_for(plugin, space):
    load(space, samples.waiting())
    waiting = plugin.start("wait", "fraud", "--timeout", "2m")
    assert "version 2" in waiting.stdout.readline()
    space.ok("patch", "mdep", "fraud", "--type=merge", "-p", '{"spec": {"version": "3"}}')
    load_status = samples.rolled_back()["status"] | {"observedGeneration": 2}
    status(space, load_status)
    said = ended(waiting)
    assert said.code == 1
    assert "the spec asks for version 3 now" in said.err


def test_wait_outlives_connections_that_break_and_a_server_that_is_away(plugin, space, tmp_path):
    load(space, samples.waiting())
    with relayed(space.environment["KUBECONFIG"], tmp_path) as relay:
        waiting = plugin.start("wait", "fraud", "--timeout", "2m", KUBECONFIG=str(relay.kubeconfig))
        assert "Paused" in waiting.stdout.readline()
        relay.down()
        assert "does not answer" in waiting.stderr.readline()
        promote(space)
        relay.up()
        said = ended(waiting)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "fraud: version 2 is promoted"


def test_restart_replaces_pods_with_the_users_own_rights(plugin, space):
    load(space, samples.waiting())
    for revision in ("1-5d8c7b20", "2-7c9f4a1b"):
        space.ok("create", "deployment", f"fraud-{revision}", "--image=registry.example.com/fraud")
    said = plugin("restart", "fraud")
    assert said.code == 0, said.err
    stored = json.loads(space.ok("get", "deployment", "fraud-2-7c9f4a1b", "-o", "json", "--show-managed-fields"))
    assert "kubectl.kubernetes.io/restartedAt" in stored["spec"]["template"]["metadata"]["annotations"]
    assert stored["metadata"]["generation"] == 2
    assert "kubectl-modelrollout" in {entry["manager"] for entry in stored["metadata"]["managedFields"]}


def test_what_is_not_there_and_what_is_not_allowed_are_one_line_each(plugin, space, tmp_path):
    said = plugin("status", "nobody")
    assert said.code == 4
    assert said.err.startswith(f'error: there is no ModelDeployment "nobody" in namespace "{space.namespace}"')

    space.ok("create", "serviceaccount", "guest")
    config = yaml.safe_load(Path(space.environment["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = {"token": space.ok("create", "token", "guest").strip()}
    file = tmp_path / "guest"
    file.write_text(yaml.safe_dump(config))
    said = plugin("get", "--kubeconfig", str(file))
    assert said.code == 4
    assert said.err.startswith("error: not allowed: modeldeployments.modelrollout.dev is forbidden")
    assert said.err.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line(plugin, space, tmp_path):
    config = yaml.safe_load(Path(space.environment["KUBECONFIG"]).read_text())
    config["clusters"][0]["cluster"] = {"server": "http://127.0.0.1:1"}
    file = tmp_path / "away"
    file.write_text(yaml.safe_dump(config))
    said = plugin("get", "--kubeconfig", str(file))
    assert said.code == 4
    assert said.err.startswith("error: no connection to the API server")
    assert said.err.count("\n") == 1


def test_kubectl_finds_the_plugin(plugin, space, tmp_path):
    program = tmp_path / "kubectl-modelrollout"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program.chmod(0o755)
    load(space, samples.waiting())
    path = f"{tmp_path}{os.pathsep}{plugin.environment.get('PATH', os.environ['PATH'])}"
    found = subprocess.run(
        [space.program, "modelrollout", "get", "fraud", "-n", space.namespace],
        env=plugin.environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert "ApprovalRequired" in found.stdout


class Relay:
    """A way to the API server that can be cut: connections that are open break, new ones are refused."""

    def __init__(self, host: str, port: int, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = 0

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        # Shut down first: a thread that sits in accept() would keep a merely closed socket alive.
        for found in [self._listener, *self._open]:
            if found is not None:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)
                found.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                threading.Thread(target=self._pump, args=(near, far), daemon=True).start()

    @staticmethod
    def _pump(near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (far if ready is near else near).sendall(data)


@contextmanager
def relayed(kubeconfig: str, folder: Path) -> Iterator[Relay]:
    config = yaml.safe_load(Path(kubeconfig).read_text())
    cluster = config["clusters"][0]["cluster"]
    server = urlparse(cluster["server"])
    relay = Relay(str(server.hostname), int(server.port or 443), folder / "relayed")
    relay.up()
    cluster["server"] = f"{server.scheme}://127.0.0.1:{relay.port}"
    cluster["tls-server-name"] = str(server.hostname)
    relay.kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield relay
    finally:
        relay.down()
