"""Writes what the chart holds of other sources: `python -m tools.chart [--check]`.

The CRDs are copies (Helm reads no file outside of a chart), the schema of the values comes from the settings' model, and the
README from the comments in `values.yaml`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from modelrollout.api import crd
from tools.values_schema import values_schema

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "modelrollout"

README = """\
# ModelRollout: Helm chart

<!-- Made from values.yaml by `make generate`; edit the comments there instead. -->

```
helm install modelrollout charts/modelrollout --namespace modelrollout-system --create-namespace --values my-values.yaml
```

[How to install](../../docs/install.md) goes through providers with credentials, roles, kustomize and GitOps.

**CRDs** are ordinary templates of this chart, not files in Helm's `crds/` folder, because Helm never upgrades those. They carry
`helm.sh/resource-policy: keep`, so that `helm uninstall` does not delete every ModelDeployment of the cluster; with
`crds.keep: false` it does. `crds.install: false` leaves them to somebody else (`kubectl apply -f crds/`).

**Rights.** The operator reads no Secret. Credentials of providers are mounted as files (`credentials.secrets`). With
`watchNamespaces` it has a Role in each of those namespaces and no rights elsewhere.

## Values

| value | default | meaning |
|---|---|---|
"""


def comments(text: str) -> Iterator[tuple[str, str]]:
    """Path and text of each comment that begins with two dashes."""
    path: list[tuple[int, str]] = []
    pending: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"\s*# -- (.*)", line):
            pending = [found[1]]
        elif pending and (found := re.match(r"\s*# (.*)", line)):
            pending.append(found[1])
        elif found := re.match(r"(\s*)([A-Za-z]\w*):", line):
            depth = len(found[1])
            path = [(at, key) for at, key in path if at < depth] + [(depth, found[2])]
            if pending:
                yield ".".join(key for _, key in path), " ".join(pending)
            pending = []


def readme(text: str) -> str:
    """The chart's README."""
    values = yaml.safe_load(text)
    rows = []
    for path, meaning in comments(text):
        default: Any = values
        for key in path.split("."):
            default = default[key]
        shown = json.dumps(default).replace("|", "\\|")
        rows.append(f"| `{path}` | `{shown}` | {meaning} |")
    return README + "\n".join(rows) + "\n"


def files() -> dict[str, str]:
    """All written files, by their path within the chart."""
    text = (CHART / "values.yaml").read_text()
    schema = values_schema(yaml.safe_load(text), dict(comments(text)))
    found = {f"files/crds/{name}": content for name, content in crd.files().items()}
    found["values.schema.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    found["README.md"] = readme(text)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` say which differ; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    return crd.synchronise(CHART, files(), check=parser.parse_args(arguments).check)


if __name__ == "__main__":
    sys.exit(main())
