"""A resource with two revisions."""

import pytest

from modelrollout.api.settings import Settings
from modelrollout.workload.identity import Owner
from modelrollout.workload.render import accept

SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})


@pytest.fixture
def owner():
    return Owner("ml", "fraud", "6a3c")


@pytest.fixture
def records():
    """Two records, by revision, in the order of their names."""
    accepted = (
        accept({"server": {"image": f"fraud:{tag}"}, "analysis": {"mode": "None"}}, SETTINGS, "fraud") for tag in "12"
    )
    return {found.record.revision: found.record for found in accepted}
