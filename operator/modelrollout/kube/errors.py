"""What can go wrong with a request to the API server, as one tree.

ApiError
├── Conflict           409: the object moved on, or another manager owns a field that was applied without force
├── AlreadyExists      409: create of something that is there
├── NotFound           404: the object, or its whole kind
├── Gone               410: the resourceVersion or continue token is too old; list anew
├── Forbidden          403: RBAC or an admission plug-in
├── Unauthorized       401
├── Invalid            400, 422: the request can never succeed as it is; `causes` name the fields
├── TooManyRequests    429: wait for `retry_after`
├── Unavailable        5xx
├── Unreachable        refused, reset or not resolved before anything was sent
├── OutcomeUnknown     timed out or cut off after a write was sent: it may have happened
└── NotLeader          refused by ourselves: the lease is not held (nothing was sent)

Two questions decide what a caller does next, and each error answers both: `retry_after` (seconds, or None where the
queue's own back-off is right) and `outcome_known`. After an unknown outcome nothing is sent again from memory: the
object is read afresh and the decision is made anew. Errors carry a sentence for people; bodies are never kept.
"""

# ruff: noqa: N818 - these are the API server's own words; `errors.Conflict` needs no suffix to be understood

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that the server objects to, as in `Status.details.causes`."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A request to the API server that did not do what was asked. `request` reads `PATCH deployments ml/fraud`."""

    outcome_known: bool = True
    default_retry_after: ClassVar[float | None] = None

    def __init__(
        self,
        message: str,
        *,
        request: str = "",
        code: int = 0,
        retry_after: float | None = None,
        causes: tuple[Cause, ...] = (),
    ) -> None:
        super().__init__(f"{request}: {message}" if request else message)
        self.message = message
        self.request = request
        self.code = code
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.causes = causes


class Conflict(ApiError):
    pass


class AlreadyExists(ApiError):
    pass


class NotFound(ApiError):
    pass


class Gone(ApiError):
    pass


class Forbidden(ApiError):
    pass


class Unauthorized(ApiError):
    pass


class Invalid(ApiError):
    pass


class TooManyRequests(ApiError):
    default_retry_after = 1.0


class Unavailable(ApiError):
    """5xx. For a write the server may have stored the object before it failed (a 504 often means just that)."""

    def __init__(self, message: str, *, write: bool = False, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.outcome_known = not write


class Unreachable(ApiError):
    pass


class OutcomeUnknown(ApiError):
    outcome_known = False


class NotLeader(ApiError):
    pass


_BY_CODE: Mapping[int, type[ApiError]] = {
    HTTPStatus.BAD_REQUEST: Invalid,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Gone,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequests,
}


def _one_line(text: str) -> str:
    """The server repeats values of a spec: what would move a terminal's cursor or turn the text around is taken out."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def from_status(
    code: int, status: Mapping[str, Any], *, request: str, write: bool, retry_after: float | None = None
) -> ApiError:
    """Make the error for an answer with an HTTP code of 400 or more and its (maybe empty) `Status` body."""
    details = status.get("details") or {}
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = float(details["retryAfterSeconds"])
    message = _one_line(str(status.get("message") or f"HTTP {code}"))
    causes = tuple(
        Cause(str(c.get("field", "")), str(c.get("reason", "")), str(c.get("message", "")))
        for c in details.get("causes") or ()
    )
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(message, write=write, request=request, code=code, retry_after=retry_after, causes=causes)
    kind = _BY_CODE.get(code, ApiError)
    if status.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    return kind(message, request=request, code=code, retry_after=retry_after, causes=causes)
