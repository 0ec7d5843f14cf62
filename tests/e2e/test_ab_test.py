"""An A/B test on real pods behind the real gateway: shares, users that stay while shares are raised, and one that is taken out."""

import json
import urllib.request
from collections import Counter
from typing import Any

from tests.e2e.conftest import Desk
from tests.e2e.served import REVISION_HEADER, Served
from tests.load import BODY

USERS = 1_000
RAISED = (10, 25, 50)


def _spec(served: Served, weight: int, **fields: Any) -> dict[str, Any]:
    variant = {"name": "b", "weight": weight, "version": "2", "server": {"env": [{"name": "ARM", "value": "b"}]}}
    rollout = {"strategy": "ABTest", "variants": [variant], "assignment": {"type": "Sticky"}, "keepFailed": "5s"}
    return served.spec("1", rollout=rollout | fields)


class Browser:
    """A user whose browser keeps cookies."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cookie = ""

    def ask(self) -> str:
        """The version that answers."""
        assert self._served.gateway_info is not None
        headers = {"Host": self._served.host, "Content-Type": "application/json"}
        headers |= {"Cookie": f"theme=dark; {self._cookie}"} if self._cookie else {}
        url = f"{self._served.gateway_info.url}/predict"
        request = urllib.request.Request(url, json.dumps(BODY).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            self._cookie = (answer.headers["Set-Cookie"] or self._cookie).partition(";")[0]
            revision: str = answer.headers[REVISION_HEADER]
        return revision.split("-", maxsplit=1)[0]


def test_users_stay_while_shares_are_raised_and_leave_what_is_taken_out(desk: Desk, model: Served):
    model.apply_spec(model.spec("1"))
    model.healthy("1", seconds=180)
    browsers = [Browser(model) for _ in range(USERS)]
    met: dict[Browser, str] = {}
    for weight in RAISED:
        model.apply_spec(_spec(model, weight))
        model.carries(v1=100 - weight, v2=weight, seconds=120)
        model.until(lambda status: "appliedAt" in (status.get("experiment") or {}), "the shares are in force", 60)
        now = {browser: browser.ask() for browser in browsers}
        moved = [version for browser, version in met.items() if now[browser] != version]
        assert not moved, f"at {weight} % {len(moved)} users met another version than before"
        fresh = [Browser(model).ask() for _ in range(USERS)]
        share = Counter(fresh)["2"] / USERS
        desk.measured(f"ab_test_new_users_at_{weight}", share)
        assert abs(share - weight / 100) < 5 * (weight * (100 - weight) / USERS) ** 0.5 / 100, share
        met = now
    assert set(met.values()) == {"1", "2"}

    model.accepted("Abort", revision=model.revision("2"))
    model.carries(v1=100, seconds=60)
    desk.observer.until(lambda: {browser.ask() for browser in browsers[:100]} == {"1"}, "nobody is kept on it", 30)
    assert {browser.ask() for browser in browsers} == {"1"}
