"""`python -m tests.cluster`: test clusters from the command line."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from tests.cluster.contract import Cluster, ClusterError, ClusterInfo, ClusterStatus, Flavor, Provider, State
from tests.cluster.factory import default_provider, make_cluster
from tests.cluster.local.plan import Options

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_NOT_RUNNING = 3


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.cluster", description="Bring a test cluster up or down.")
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in {
        "up": "bring the cluster up (returns at once when it is up)",
        "down": "remove the cluster and everything it left on the machine",
        "status": "show the parts of the cluster; exit code 3 when it is not running",
        "build": "build what `up` needs, start nothing",
        "load-image": "make an image usable by pods",
    }.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--cluster", choices=list(map(str, Provider)), help="default: $MODELROLLOUT_CLUSTER or local"
        )
        command.add_argument("--flavor", choices=list(map(str, Flavor)), default=str(Flavor.PODS))
        command.add_argument("--name", help="default: local for real pods, kwok for played ones")
        command.add_argument("--output", choices=["text", "json"], default="text")
        if name in {"up", "build"}:
            command.add_argument(
                "--gateway",
                choices=["traefik", "envoy"],
                default="traefik",
                help="envoy: Envoy Gateway beside Traefik, and names of Services for pods; default %(default)s",
            )
        if name == "up":
            command.add_argument(
                "--scrape-interval", default=Options.scrape_interval, help="Prometheus; default %(default)s"
            )
            command.add_argument(
                "--nodes", type=int, default=Options.nodes, help="played nodes (kwok); default %(default)s"
            )
        if name == "load-image":
            command.add_argument("image", help="path of a docker-archive, or a tag that the provider knows")
    return top


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # SIGINT too: shells start background jobs with it ignored
    try:
        options = _options(arguments)
        provider = arguments.cluster or default_provider()
        cluster = make_cluster(provider, arguments.flavor, arguments.name, options)
        return ACTIONS[arguments.command](cluster, arguments)
    except ClusterError as error:
        _say(f"error: {error}", sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        _say("interrupted; what was started has been stopped", sys.stderr)
        return EXIT_INTERRUPTED


def _options(arguments: argparse.Namespace) -> Options | None:
    if arguments.command == "up":
        return Options(arguments.scrape_interval, arguments.nodes, arguments.gateway == "envoy")
    return Options(envoy=arguments.gateway == "envoy") if arguments.command == "build" else None


def _up(cluster: Cluster, arguments: argparse.Namespace) -> int:
    info = cluster.up()
    _say(info.to_json() if arguments.output == "json" else _described(info))
    return 0


def _down(cluster: Cluster, _arguments: argparse.Namespace) -> int:
    cluster.down()
    return 0


def _status(cluster: Cluster, arguments: argparse.Namespace) -> int:
    status = cluster.status()
    _say(json.dumps(status.to_dict(), indent=2) if arguments.output == "json" else _table(status))
    return 0 if status.state is State.RUNNING else EXIT_NOT_RUNNING


def _build(cluster: Cluster, _arguments: argparse.Namespace) -> int:
    cluster.build()
    return 0


def _load_image(cluster: Cluster, arguments: argparse.Namespace) -> int:
    cluster.load_image(arguments.image)
    return 0


ACTIONS: dict[str, Callable[[Cluster, argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "build": _build,
    "load-image": _load_image,
}


def _say(text: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{text}\n")


def _described(info: ClusterInfo) -> str:
    lines = [f"Cluster {info.name} is up ({info.provider}, {info.flavor})", f"  API server  {info.server}"]
    gateways = filter(None, (info.gateway, info.envoy))
    lines += [f"  Gateway     {gateway.url} ({gateway.namespace}/{gateway.name})" for gateway in gateways]
    if info.prometheus:
        lines.append(f"  Prometheus  {info.prometheus.url} (from pods {info.prometheus.pod_url})")
    lines += [
        "",
        "Look around:",
        f"  export KUBECONFIG={info.kubeconfig}",
        f"  export PATH={info.kubectl.parent}:$PATH",
    ]
    return "\n".join(lines)


def _table(status: ClusterStatus) -> str:
    lines = [f"Cluster {status.name}: {status.state}"]
    width = max((len(part.name) for part in status.components), default=0)
    for part in status.components:
        pid = f"pid {part.pid}" if part.pid else ""
        lines.append(f"  {part.name:<{width}}  {part.reason or 'ready'}  {pid}".rstrip())
    return "\n".join(lines)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
