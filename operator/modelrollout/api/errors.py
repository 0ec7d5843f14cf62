"""What can be wrong with what people and machines hand to us.

The tree::

    ModelRolloutError
    ├── SpecError            a resource says something that cannot be carried out; names the field, the value and the cure
    │   └── SettingsError    the same for the administrator's settings
    └── RecordError          a record of our own (status, ControllerRevision) cannot be read back

Errors of the API server live in `kube/errors.py`, errors of Prometheus in `metrics/errors.py`: they describe an edge, not a
resource.
"""

from __future__ import annotations


class ModelRolloutError(Exception):
    """The root of all errors that this package raises on purpose."""


class SpecError(ModelRolloutError):
    """A field whose value cannot be carried out.

    `reason` is the CamelCase word for the condition, `field` the path as written in YAML (``spec.rollout.steps[2].weight``).
    """

    def __init__(self, field: str, message: str, *, reason: str = "InvalidSpec") -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.reason = reason


class SettingsError(SpecError):
    """A setting of the administrator that cannot be used; raised at start-up, before anything is touched."""


class RecordError(ModelRolloutError):
    """A record of our own cannot be read; the caller falls back on what the cluster shows."""
