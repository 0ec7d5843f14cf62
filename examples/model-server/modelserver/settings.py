"""What the environment says about the model to serve.

`MODEL_NAME`, `MODEL_VERSION` and `MODEL_URI` are the three names that ModelRollout gives every server it starts. Name
and version win over what was written down at training time, because whoever deploys decides what a version is called.
`MODEL_URI` is a local path or a `file://` address; fetching from elsewhere is the work of a volume or an init container,
and an address of another kind is refused by name and never taken for a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modelserver.faults import Faults, SettingError

BAKED_IN = Path(__file__).resolve().parent.parent / "model" / "model.joblib"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the model lies and what it is called; None means "as its metadata say"."""

    path: Path = BAKED_IN
    name: str | None = None
    version: str | None = None
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables. Raises SettingError, which names the variable, its value and what would be right."""
        return cls(
            path=_path(environment.get("MODEL_URI", "")),
            name=environment.get("MODEL_NAME") or None,
            version=environment.get("MODEL_VERSION") or None,
            faults=Faults.from_environment(environment),
        )


def _path(uri: str) -> Path:
    if not uri:
        return BAKED_IN
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    if parts.scheme or not uri.startswith("/"):
        raise SettingError(
            f"MODEL_URI={uri!r}: expected an absolute path or a file:// address of a model on this machine"
        )
    return Path(uri)
