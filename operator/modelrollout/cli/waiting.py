"""`wait`: until the version that the spec asks for now has been promoted, or it is certain that it will not be.

It is bound to the generation of the spec at its start and to the revision that this spec names: a later edit of steps or
replicas does not end it, another version does. Each change of state is one line, so that the log of a pipeline tells the
story. `judge` is pure; the rest only follows the object through restarts of the API server until the time is up.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from modelrollout.api.errors import SpecError
from modelrollout.api.status import DesiredState, Phase
from modelrollout.kube.errors import ApiError, NotFound
from modelrollout.kube.kinds import Ref
from modelrollout.rollout.revision import identify
from modelrollout.rollout.words import carries

from .choices import Goal
from .cluster import Cluster
from .deployment import READY, Deployment, address, missing, parse
from .failures import ExitCode, Failure
from .follow import follow
from .out import complain, say
from .words import second, spaced, span


@dataclass(frozen=True, slots=True)
class Bound:
    """What a wait is about: this object, its spec from this generation on, and the revision that this spec names.

    `revision` is what the operator says of that very generation; until it has, and for ever if it skipped that generation, what
    can be told from the spec. None: an invalid spec names none.
    """

    uid: str
    generation: int
    revision: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a wait."""

    code: ExitCode
    message: str


def bind(deployment: Deployment) -> Bound:
    """What the spec asks for now."""
    try:
        revision = identify(deployment.spec).revision
    except SpecError:
        revision = None
    return sharpen(Bound(deployment.uid, deployment.generation, revision), deployment)


def sharpen(bound: Bound, deployment: Deployment) -> Bound:
    """The same, with the operator's own word for the revision as soon as it speaks of that generation."""
    desired = deployment.status.desired
    if deployment.status.observed_generation != bound.generation or desired is None:
        return bound
    return replace(bound, revision=desired.revision)


def judge(bound: Bound, deployment: Deployment, goal: Goal) -> Answer | None:
    """Whether the wait is over; None while it is not known."""
    if deployment.uid != bound.uid:
        return Answer(ExitCode.NO, "it was deleted, and made anew")
    if deployment.status.observed_generation < bound.generation:
        return None
    return _no(bound, deployment) or _yes(deployment, goal)


def _no(bound: Bound, deployment: Deployment) -> Answer | None:
    desired, message = deployment.status.desired, spaced(deployment.status.message)
    if desired is None:
        return None
    if desired.state is DesiredState.INVALID:
        return Answer(ExitCode.NO, message)
    if bound.revision is not None and desired.revision != bound.revision:
        return Answer(ExitCode.NO, f"the spec asks for version {desired.version} now: {message}")
    return Answer(ExitCode.NO, message) if desired.state is DesiredState.REJECTED else None


def _yes(deployment: Deployment, goal: Goal) -> Answer | None:
    status, desired = deployment.status, deployment.status.desired
    if goal is Goal.PAUSED and status.phase is Phase.PAUSED:
        return Answer(ExitCode.DONE, spaced(status.message))
    serves = desired is not None and desired.state is DesiredState.SERVING and status.rollout is None
    if desired is not None and serves and _is_ready(deployment):
        return Answer(ExitCode.DONE, f"version {desired.version} is promoted")
    return None


def _is_ready(deployment: Deployment) -> bool:
    return any(found.type == READY and found.status == "True" for found in deployment.status.conditions)


async def wait(cluster: Cluster, name: str, goal: Goal, patience: float) -> ExitCode:
    """Follow the rollout for `patience` seconds, a line at each change. Raises Failure with the reason when it ends badly."""
    ref = address(cluster, name)
    told = _Told()
    try:
        async with asyncio.timeout(patience):
            answer = await _answer(cluster, ref, goal, told)
    except TimeoutError:
        raise Failure(f"{ref.name}: not {goal} within {span(patience)}{told.last}", ExitCode.TIMED_OUT) from None
    except NotFound as error:
        raise missing(ref, error) from error
    if answer.code is not ExitCode.DONE:
        raise Failure(f"{ref.name}: {answer.message}", answer.code)
    say(f"{ref.name}: {answer.message}")
    return ExitCode.DONE


async def _answer(cluster: Cluster, ref: Ref, goal: Goal, told: _Told) -> Answer:
    bound: Bound | None = None
    async for item in follow(cluster, ref, told.trouble):
        deployment = parse(item)
        bound = sharpen(bound, deployment) if bound else bind(deployment)
        told.change(bound, deployment)
        if (answer := judge(bound, deployment, goal)) is not None:
            return answer
    return Answer(ExitCode.NO, "it was deleted")


class _Told:
    """What was printed last, so that only changes are."""

    def __init__(self) -> None:
        self._state: tuple[str, ...] = ()
        self._troubled = False

    @property
    def last(self) -> str:
        """The state for a closing line."""
        return f" ({', '.join(word for word in self._state if word)})" if self._state else ""

    def change(self, bound: Bound, deployment: Deployment) -> None:
        state = words(bound, deployment)
        if state != self._state:
            self._state = state
            say("  ".join((second(time.time()), *(word for word in state if word))))

    def trouble(self, error: ApiError | None) -> None:
        if error is not None and not self._troubled:
            complain(f"the API server does not answer ({error.message}); trying again")
        self._troubled = error is not None


def words(bound: Bound, deployment: Deployment) -> tuple[str, ...]:
    """The state that a line shows: phase, weight, step, reason."""
    status = deployment.status
    if status.observed_generation < bound.generation:
        return ("Pending", "", "", f"the operator has not seen generation {bound.generation} yet")
    candidate = deployment.candidate
    weight = f"version {candidate.version} at {carries(candidate.weight, candidate.mirror)}" if candidate else ""
    step = f"step {status.summary.step}" if candidate and status.summary.step else ""
    return (str(status.phase or ""), weight, step, deployment.reason)
