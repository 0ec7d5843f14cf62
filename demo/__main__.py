"""`python -m demo up|down`: exit 0 when everything went as promised, 1 when not, 130 when interrupted."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo.install import Release
from demo.kube import Kube, NotAsPromisedError
from demo.places import (
    HOST,
    MANIFESTS,
    MODEL,
    NAMESPACE,
    OPERATOR_NAMESPACE,
    RELEASE,
    REQUESTS_PER_SECOND,
    folder,
    forget,
    log_file,
    remembered,
)
from demo.screen import Screen
from demo.stage import OPERATOR_IMAGE, Stage, choose, provide_images, take
from demo.story import Story
from demo.traffic import Traffic
from tests.cluster import ClusterError, ClusterInfo, Flavor, Provider, make_cluster
from tests.cluster.progress import spoken
from tests.load import LoadError

INTERRUPTED = 130


def up(screen: Screen, asked: str | None) -> None:
    """The whole demo. Raises ClusterError and NotAsPromisedError."""
    began = time.monotonic()
    stage = take(choose(asked), screen)
    built = provide_images(stage, screen)
    _install(stage, screen, built)
    kube = Kube(stage.info, NAMESPACE)
    with screen.step("Clear away what an earlier demo has left", expected=2):
        kube("delete", "modeldeployment", MODEL, "--ignore-not-found", "--cascade=foreground", timeout=180)
    assert stage.info.gateway is not None
    traffic = Traffic(stage.info.gateway.url, HOST, REQUESTS_PER_SECOND)
    story = Story(stage, kube, screen, traffic)
    try:
        story.first_version()
        story.good_version()
        story.bad_version(3, "20 % errors", "errors")
        story.bad_version(4, "2 s slow", "latency")
    finally:
        traffic.stop()
    _farewell(screen, stage, time.monotonic() - began)


def down(screen: Screen) -> None:
    """Remove what `up` made: the whole cluster if it made that, else the operator and the model."""
    memory = remembered()
    if memory is None:
        screen.say("There is no demo to remove.")
        return
    cluster = make_cluster(memory.provider, Flavor.PODS, steps=screen)
    if memory.made_cluster:
        cluster.down()
    elif (info := cluster.status().info) is not None:
        with screen.step("Remove the model and the operator; the cluster was there before and stays", expected=30):
            _release(info).remove()
    forget()
    screen.say("Nothing of the demo is left but builds in the cache, which make the next one fast.")


def _install(stage: Stage, screen: Screen, built: str) -> None:
    assert stage.info.prometheus is not None
    image, _, tag = stage.image(OPERATOR_IMAGE).rpartition(":")
    settings = {
        "image.repository": image,
        "image.tag": tag,
        "podAnnotations.demo/image": built,  # the tag stays the same, so this is what restarts it
        "settings.providers[0].name": "default",
        "settings.providers[0].url": stage.info.prometheus.pod_url,
    }
    with screen.step("Install the operator with Helm", expected=15, log=log_file()):
        _release(stage.info, settings).install()


def _release(info: ClusterInfo, settings: dict[str, str] | None = None) -> Release:
    values = [MANIFESTS / "operator.yaml"]
    return Release(info, RELEASE, OPERATOR_NAMESPACE, NAMESPACE, values, settings or {}, log_file())


def _farewell(screen: Screen, stage: Stage, seconds: float) -> None:
    assert stage.info.gateway is not None
    assert stage.info.prometheus is not None
    predict = f"{stage.info.gateway.url}/predict"
    load = f"python -m tests.load --url {predict} --host {HOST} --rps 50 --duration 60"
    curl = (
        f"""curl -s {predict} -H Host:{HOST} -H Content-Type:application/json -d '{{"features":[6.3,3.3,6.0,2.5]}}'"""
    )
    tries = (
        ("Point this shell at the cluster", f". {_environment(stage.info)}"),
        ("See what stands and why", f"kubectl modelrollout status {MODEL}"),
        ("See what has been", f"kubectl modelrollout history {MODEL}"),
        ("Ask the model yourself", curl),
        ("Try version 4 again, with users", f"kubectl modelrollout retry {MODEL} && {load}; kubectl get mdep"),
    )
    screen.line("")
    screen.line(f"✓ All four versions went as promised; the whole demo took {spoken(seconds)}.", style="bold")
    screen.line("")
    screen.line(f"Try next (Prometheus is at {stage.info.prometheus.url}):", style="bold")
    for number, (what, command) in enumerate(tries, start=1):
        screen.line(f"{number}. {what}:")
        screen.command(f"   {command}")
    screen.line("")
    screen.line("Remove everything:  make demo-down", style="bold")


def _environment(info: ClusterInfo) -> str:
    """A file to source: kubectl, helm and the plugin on PATH, a kubeconfig with the demo's namespace as the default."""
    kubeconfig, file = folder() / "kubeconfig", folder() / "env"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_bytes(info.kubeconfig.read_bytes())
    given = f"--kubeconfig={kubeconfig}"
    Kube(info, NAMESPACE)("config", "set-context", "--current", f"--namespace={NAMESPACE}", given)
    tools = dict.fromkeys(str(tool) for tool in (Path(sys.prefix) / "bin", info.kubectl.parent, info.helm.parent))
    environment = info.environment()
    lines = [f"export PATH={':'.join(shlex.quote(tool) for tool in tools)}:$PATH"]
    lines += [f"export KUBECONFIG={shlex.quote(str(kubeconfig))}"]
    lines += [f"export {name}={shlex.quote(environment[name])}" for name in ("NO_PROXY", "no_proxy")]
    file.write_text("\n".join(lines) + "\n")
    return _near(file)


def _near(file: Path) -> str:
    """A path as a person would type it."""
    for root, short in ((Path.cwd(), ""), (Path.home(), "~/")):
        if file.is_relative_to(root):
            return f"{short}{file.relative_to(root)}"
    return str(file)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    begin = verbs.add_parser("up", help="play the demo")
    begin.add_argument(
        "--cluster", choices=[str(one) for one in Provider], help="default: kind with Docker, else local"
    )
    begin.add_argument("--picture", type=Path, metavar="FILE", help="also save what was shown as SVG")
    end = verbs.add_parser("down", help="remove everything that the demo made")
    end.add_argument("--cluster", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; problems are told in words, with the file that tells more."""
    options = _arguments(words)
    screen = Screen(picture=bool(getattr(options, "picture", None)))
    try:
        if options.verb == "down":
            down(screen)
            return 0
        up(screen, options.cluster)
        if options.picture:
            screen.save(options.picture, "make demo")
    except (ClusterError, LoadError, NotAsPromisedError) as error:
        screen.line("")
        screen.say(f"✗ {error}")
        if remembered() is not None:
            screen.say(f"Logs: {log_file()}. Try again: make demo. Remove what is there: make demo-down")
        return 1
    except KeyboardInterrupt:
        screen.say("\nInterrupted. Remove what is there: make demo-down")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
