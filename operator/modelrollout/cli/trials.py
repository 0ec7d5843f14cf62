"""What a command asks for in an A/B test: which variant it means, or the whole test by its control.

Pure, as `orders`, which hands over to here while a test is under way.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelrollout.api.command import Action
from modelrollout.api.status import ArmStatus, ExperimentStatus

from .deployment import Deployment
from .failures import Refused


@dataclass(frozen=True, slots=True)
class Order:
    """A command to create. `announcement` says beforehand what it will do, where that is far-reaching."""

    action: Action
    revision: str
    step: str | None = None
    announcement: str = ""


def serving(deployment: Deployment) -> str:
    """What serves, in a few words."""
    if not deployment.observed and not deployment.stable:
        return "no operator has looked at it yet"
    stable = deployment.stable
    return f"version {stable.version} serves all traffic" if stable else "no version serves"


def in_test(action: Action, deployment: Deployment, variant: str | None) -> Order:
    """The order in the A/B test under way. Raises Refused when there is nothing that it could be for."""
    test = deployment.status.experiment
    assert test is not None
    match action:
        case Action.PROMOTE:
            arm = _one(deployment, test, variant, out=False)
            told = f"promoting variant {arm.name}: it gets all traffic as soon as all its pods are ready, and the A/B test ends"
            return Order(action, arm.revision, announcement=told)
        case Action.RETRY:
            return Order(action, _one(deployment, test, variant, out=True).revision)
        case Action.ABORT if variant is not None:
            arm = _one(deployment, test, variant, out=False)
            told = f"taking variant {arm.name} out of the A/B test: its share goes to the control; it stays out until it is retried"
            return Order(action, arm.revision, announcement=told)
        case Action.ABORT:
            version = deployment.stable.version if deployment.stable else test.control
            return Order(
                action, test.control, announcement=f"ending the A/B test: all traffic goes to version {version}"
            )
        case Action.PAUSE | Action.RESUME:
            return Order(action, test.control)
    why = {
        Action.APPROVE: "an A/B test has no steps to approve",
        Action.UNDO: "an A/B test is under way; abort it instead",
    }
    raise Refused(f"{deployment.name}: {why[action]}")


def _one(deployment: Deployment, test: ExperimentStatus, name: str | None, *, out: bool) -> ArmStatus:
    """The variant of that name; without a name the only one there is to choose from."""
    fitting = [arm for arm in test.variants if (arm.out is not None) == out]
    found = [arm for arm in fitting if name in (None, arm.name)]
    if len(found) == 1:
        return found[0]
    what = "was taken out" if out else "takes part"
    names = ", ".join(arm.name for arm in fitting) or "none"
    if name is None:
        raise Refused(f"{deployment.name}: name a variant that {what} with --variant: {names}")
    raise Refused(f"{deployment.name}: there is no variant {name} that {what}; found: {names}")
