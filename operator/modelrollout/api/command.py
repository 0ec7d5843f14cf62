"""`RolloutCommand`: a small immutable object that asks for something which is not desired state.

So RBAC can let data scientists deploy and on-call engineers approve; `kubectl get rolloutcommands` is the audit log.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Enum, Model, StatusModel, rule, validations
from .scalars import Timestamp
from .status import CommandOutcome, Text


class Action(Enum):
    """What is asked for."""

    APPROVE = "Approve"
    PAUSE = "Pause"
    RESUME = "Resume"
    ABORT = "Abort"
    RETRY = "Retry"
    PROMOTE = "Promote"
    UNDO = "Undo"


class RolloutCommandSpec(
    Model,
    json_schema_extra=validations(
        rule("self == oldSelf", "a command is immutable: create another one"),
        rule("self.action != 'Approve' || has(self.step)", "Approve needs the name of the step", field_path=".step"),
    ),
):
    """What is asked for, of which revision."""

    target: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    """Name of the ModelDeployment in the same namespace."""
    action: Action
    """What is asked for."""
    revision: Annotated[str, Field(max_length=63, min_length=1)]
    """The revision that the command was meant for; with any other it is refused."""
    step: Annotated[str, Field(max_length=32)] | None = None
    """Approve: the step whose end is approved."""
    by: Annotated[str, Field(max_length=253)] | None = None
    """Who asks. The optional admission policy makes it the requesting user."""
    reason: Annotated[str, Field(max_length=512)] | None = None
    """Why, for the record."""

    @model_validator(mode="after")
    def _step(self) -> Self:
        if self.action is Action.APPROVE and self.step is None:
            raise ValueError("step: Approve needs the name of the step")
        return self


class RolloutCommandStatus(StatusModel):
    """What became of it."""

    outcome: CommandOutcome | None = None
    """Accepted or Refused; absent until it was taken."""
    at: Timestamp | None = None
    """When it was taken."""
    message: Text = ""
    """What it did, or why it was refused."""
