"""The model as the server holds it: a fitted scikit-learn classifier and what is known about it.

Any classifier that `joblib.dump` wrote can be served. When a `model.json` of the same stem lies beside it (train.py writes
one), it is believed for names, and its SHA-256 must match: a truncated copy fails here with a sentence and not in the
unpickler. Unpickling runs code, so only files of your own making belong under `MODEL_URI`.

scikit-learn is imported by the unpickler and nowhere at module level: the import costs about a second, and the process
should answer its liveness probe before that.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from modelserver.settings import Settings


class ModelError(RuntimeError):
    """The file is there but cannot be served; the message says why."""


class InputError(ValueError):
    """The features are not what this model takes; the message says what it takes."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded classifier. `features` holds as many names as it takes values, in their order."""

    name: str
    version: str
    features: tuple[str, ...]
    estimator: Any

    def predict(self, features: list[float]) -> tuple[int, float]:
        """The most probable class and its probability (0 to 1). Raises InputError."""
        if len(features) != len(self.features):
            raise InputError(
                f"features: expected {len(self.features)} values ({', '.join(self.features)}), got {len(features)}"
            )
        try:
            with np.errstate(all="ignore"):
                shares = self.estimator.predict_proba(np.asarray([features], dtype=np.float64))[0]
        except ValueError as error:
            raise InputError(f"features: the model cannot use these values: {error}") from error
        best = int(np.argmax(shares))
        if not np.isfinite(shares[best]):
            raise InputError("features: values are too large for the model to give a probability")
        return int(self.estimator.classes_[best]), float(shares[best])


def load(settings: Settings) -> Model:
    """Read the model from disk. Raises FileNotFoundError with the bare path, or ModelError."""
    if settings.faults.load_crash:
        raise FileNotFoundError("/models/model.pkl")
    if not settings.path.is_file():
        raise FileNotFoundError(str(settings.path))
    metadata = _metadata(settings.path)
    estimator = joblib.load(settings.path)
    if not hasattr(estimator, "predict_proba"):
        raise ModelError(f"{settings.path}: expected a classifier with predict_proba, found {type(estimator).__name__}")
    count = int(estimator.n_features_in_)
    features = tuple(metadata.get("features", (f"feature {index + 1}" for index in range(count))))
    if len(features) != count:
        raise ModelError(f"{settings.path}: its metadata name {len(features)} features, the model takes {count}")
    return Model(
        name=settings.name or str(metadata.get("name", settings.path.stem)),
        version=settings.version or str(metadata.get("version", "unknown")),
        features=features,
        estimator=estimator,
    )


def _metadata(path: Path) -> dict[str, Any]:
    file = path.with_suffix(".json")
    if not file.is_file():
        return {}
    metadata: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if metadata.get("sha256", found) != found:
        raise ModelError(f"{path}: SHA-256 is {found}, but {file.name} says {metadata['sha256']}")
    return metadata
