"""Runs a soak: `python -m tests.soak [--minutes M] [--rollouts N] [--seed S]`."""

import argparse
import random
import sys
from pathlib import Path

from tests.api.kubectl import connect
from tests.harness.apiserver import ApiServer
from tests.harness.background import Background
from tests.soak.play import GROWTH, Length, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rollouts", type=int, default=50, help="ModelDeployments side by side")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: another each time"
    )
    options = parser.parse_args()
    _out(f"seed {options.seed}")
    kubectl, background = connect(), Background()
    server = ApiServer(background, Path(kubectl.environment["KUBECONFIG"]))
    try:
        length = Length(options.minutes, options.rollouts, options.seed)
        found = soak(server, kubectl, length, _out)
    finally:
        server.close()
        background.close()
    _out(found.words())
    return 1 if found.wrong or found.growth > GROWTH else 0


def _out(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
