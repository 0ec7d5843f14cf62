"""How the plugin ends: exit codes, and every error as one line that says what would be right.

Scripts look at the exit code, so each has one meaning:

    0  done: accepted, promoted, printed
    1  the answer is no: refused, taken back, failed, an invalid spec
    2  `wait`: the time was up
    3  a command was created, and no operator took it in time
    4  it could not be asked: no connection, no such object, not allowed
    64 the command line was wrong
    130 interrupted (Ctrl-C)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script learns."""

    DONE = 0
    NO = 1
    TIMED_OUT = 2
    NOT_TAKEN = 3
    NOT_ASKED = 4
    USAGE = 64
    INTERRUPTED = 130


class Failure(Exception):  # noqa: N818  it is also an answer ("refused"), not always an error
    """Ends a command with one line on stderr."""

    def __init__(self, message: str, code: ExitCode = ExitCode.NOT_ASKED) -> None:
        super().__init__(message)
        self.code = code


class Refused(Failure):
    """What was asked for does not fit the state of the object."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.NO)


def explain(error: Exception) -> Failure | None:
    """Make the one line of an error that was foreseen; None for one that was not (a bug: it deserves its traceback)."""
    from modelrollout.api.errors import ModelRolloutError  # noqa: PLC0415  errors are the rare path
    from modelrollout.kube.errors import ApiError  # noqa: PLC0415

    if isinstance(error, Failure):
        return error
    if isinstance(error, ModelRolloutError):
        return Refused(str(error))
    return _of_server(error) if isinstance(error, ApiError) else None


def _of_server(error: Exception) -> Failure:
    from modelrollout.kube import errors as kube  # noqa: PLC0415

    match error:
        case kube.Unreachable():
            return Failure(f"no connection to the API server: {error.message}; check --context and the network")
        case kube.OutcomeUnknown():
            return Failure(f"the API server did not answer in time; it is not known what became of {error.request}")
        case kube.Unauthorized():
            return Failure(
                "the API server does not know these credentials (401): log in again or name another --context"
            )
        case kube.Forbidden():
            return Failure(f"not allowed: {error.message}")
        case kube.Invalid():
            return Refused(error.message)
    return Failure(str(error))
