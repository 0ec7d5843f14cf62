"""Train the example model and save it with its metadata.

The data are scikit-learn's own copy of Fisher's iris measurements, so nothing is downloaded. The split, the estimator
and the order of the rows are fixed by one seed: the same versions of Python and scikit-learn give the same bytes.
Two estimators exist so that "version 2" can be a truly different model, not only another label.

Writes two files into the output folder: `model.joblib`, the bare fitted estimator as `joblib.dump` makes it, and
`model.json`, which says what it is and carries its SHA-256, so that a half-copied model is refused before it is loaded.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20_240

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
    "forest": lambda: RandomForestClassifier(n_estimators=30, max_depth=4, random_state=SEED),
}


def train(out: Path, *, version: str, name: str, estimator: str) -> dict[str, Any]:
    """Fit, write both files into `out` and return the metadata. Accuracy is the share right on the rows held out."""
    data = load_iris()
    fit_x, test_x, fit_y, test_y = train_test_split(
        data.data, data.target, test_size=0.25, random_state=SEED, stratify=data.target
    )
    model = ESTIMATORS[estimator]().fit(fit_x, fit_y)

    out.mkdir(parents=True, exist_ok=True)
    artifact = out / "model.joblib"
    joblib.dump(model, artifact)
    metadata = {
        "name": name,
        "version": version,
        "estimator": estimator,
        "features": [str(feature) for feature in data.feature_names],
        "classes": [str(label) for label in data.target_names],
        "accuracy": round(float(model.score(test_x, test_y)), 4),
        "scikit_learn": sklearn.__version__,
        "sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
    }
    artifact.with_suffix(".json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    return metadata


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train the example model.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model", help="folder for the two files")
    parser.add_argument("--version", default="1")
    parser.add_argument("--name", default="iris")
    parser.add_argument("--estimator", choices=sorted(ESTIMATORS), default="logistic")
    options = parser.parse_args(arguments)
    metadata = train(options.out, version=options.version, name=options.name, estimator=options.estimator)
    json.dump(metadata, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
