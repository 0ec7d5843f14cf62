"""docs/routers.md says of each router what its module says."""

from pathlib import Path

import pytest

from modelrollout.api.routing import ROUTERS
from modelrollout.api.scalars import Weight
from modelrollout.traffic.routers import OBJECT_ROUTERS, SERVICE

PAGE = (Path(__file__).parents[3] / "docs" / "routers.md").read_text()


def row(field):
    name = ROUTERS[field]
    found = OBJECT_ROUTERS.get(name, SERVICE).capabilities
    applied = f"{found.lag:g} s after the object has it"
    if found.reports:
        applied = "when its status says so, and `settle` later"
    elif name == SERVICE.name:
        applied = "when the pods are as they should be"
    cells = (
        f"`{field}`",
        "any number of versions" if found.sharing is None else f"{found.sharing} versions",
        "one pod beside all of stable's"
        if found.smallest_weight is None
        else f"{Weight(found.smallest_weight).percent} %",
        *("yes" if able else "no" for able in (found.header_match, found.mirror, found.sticky)),
        applied,
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("field", ROUTERS)
def test_the_table_says_what_the_router_says_of_itself(field):
    assert row(field) in PAGE.splitlines()
    assert f"| [`{field}`](#" in PAGE
