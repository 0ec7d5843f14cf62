"""An operator of another release: it would render every pod template differently. Run as a module in place of the operator."""

import sys
from dataclasses import replace
from typing import Any

from modelrollout.operator import main
from modelrollout.workload import render
from modelrollout.workload.pod import Rendered

_render = render.render_template


def _otherwise(*arguments: Any) -> Rendered:
    made = _render(*arguments)
    template = made.template
    containers = [
        container | {"terminationMessagePolicy": "FallbackToLogsOnError", "env": [{"name": "RELEASE", "value": "next"}]}
        for container in template["spec"]["containers"]
    ]
    spec = template["spec"] | {"containers": containers, "terminationGracePeriodSeconds": 77}
    return replace(made, template=template | {"spec": spec})


if __name__ == "__main__":
    render.render_template = _otherwise
    main(sys.argv[1:])
