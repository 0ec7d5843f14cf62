"""Run it: `python -m bench.fleet --rollouts 50 200 --minutes 2`. Progress goes to standard error, figures to standard output."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.fleet.bars import missed
from bench.fleet.report import bars, document, setup, table, write_docs
from bench.fleet.result import Result
from bench.fleet.shelf import Kept, keep
from bench.fleet.stage import NotInTimeError, Stage, say
from bench.fleet.story import run
from bench.fleet.workload import Workload
from tests.api.kubectl import Kubectl, until
from tests.cluster import ClusterError, Flavor, make_cluster
from tests.cluster.contract import Cluster

CRDS = Path(__file__).parents[2] / "crds"
NAMESPACES = 4


def main() -> None:
    arguments = _arguments()
    around = setup(_command(arguments))  # now: what is committed meanwhile is not what runs
    minutes = sum(estimate(rollouts, arguments.minutes) for rollouts in arguments.rollouts)
    say(f"about {minutes:.0f} min on two cores")
    fresh: list[Kept] = []
    try:
        for rollouts in arguments.rollouts:
            fresh.append(Kept(_measure(rollouts, arguments), around))
            results = [kept.result for kept in fresh]
            say(f"\n{table(results)}\n\n{bars(results)}")
            if arguments.write_docs:
                write_docs(keep(fresh))
    except (ClusterError, NotInTimeError) as error:
        sys.exit(f"bench.fleet: {error}")
    results = [kept.result for kept in fresh]
    print(json.dumps(document(fresh), indent=2) if arguments.json else f"{table(results)}\n\n{bars(results)}")
    if short := missed(results):
        say("\nNot kept:\n" + "\n".join(f"  {line}" for line in short))


def estimate(rollouts: int, minutes: float) -> float:
    """Minutes that one fleet takes: three times everything moves, at about six rollouts a second."""
    return minutes + 3 + 3 * rollouts / 6 / 60


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="What a fleet of rollouts costs.")
    parser.add_argument(
        "--rollouts", type=int, nargs="+", default=[200], help="how many canaries at once; may be several"
    )
    parser.add_argument("--minutes", type=float, default=6.0, help="how long the steady fleet is measured (default 6)")
    parser.add_argument("--interval", type=int, default=15, help="seconds of a window (default 15)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="keep the figures and write docs/benchmarks.md and its plot, with those of other sizes kept so far",
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the operator's log")
    return parser.parse_args()


def _command(arguments: argparse.Namespace) -> str:
    rollouts = " ".join(map(str, arguments.rollouts))
    return (
        f"python -m bench.fleet --rollouts {rollouts} --minutes {arguments.minutes:g} --interval {arguments.interval}"
    )


def _measure(rollouts: int, arguments: argparse.Namespace) -> Result:
    """One fleet in a cluster of its own, which is gone afterwards."""
    cluster = make_cluster("local", Flavor.KWOK, name="fleet")
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    say(f"fleet of {rollouts}: a cluster of its own; the operator's log is in {folder}")
    try:
        kubectl = _fresh(cluster)
        namespaces = tuple(f"team-{index}" for index in range(min(NAMESPACES, rollouts)))
        for namespace in namespaces:
            kubectl.ok("create", "namespace", namespace)
        kubeconfig = Path(kubectl.environment["KUBECONFIG"])
        with Stage(kubeconfig, folder, Workload(rollouts, namespaces, arguments.interval)) as stage:
            return run(stage, arguments.minutes)
    finally:
        if not arguments.keep:
            cluster.down()


def _fresh(cluster: Cluster) -> Kubectl:
    """Nothing of an earlier fleet may be left: it would be measured too."""
    cluster.down()
    info = cluster.up()
    kubectl = Kubectl(info.kubectl, info.environment())
    kubectl.ok("apply", "-f", str(CRDS))
    # A definition that is a moment old has no conditions yet, and `kubectl wait` takes that for a fault.
    wait = ("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    until(lambda: kubectl(*wait).code == 0, "the CRDs are established", 60)
    until(lambda: kubectl("get", "modeldeployments").code == 0, "ModelDeployments are served", 60)
    return kubectl


if __name__ == "__main__":
    main()
