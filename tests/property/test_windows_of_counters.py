"""Random lives of counters, and what the Sampler makes of them.

Pods serve, restart, come and go; scrapes fail; Prometheus does not answer for a while. Whatever happens: no window is negative or
counts anything twice, a window in which nothing went wrong holds the truth to the last request, and a process that reads
everything back comes to the same windows as the one that was there.
"""

import asyncio
import itertools
from dataclasses import dataclass, field, replace

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from modelrollout.analysis.window import Answer
from modelrollout.api.analysis import Metric
from modelrollout.metrics.errors import UnavailableError
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World, pod_name

SCRAPE = 5.0
ANY = Metric.model_validate({"name": "any", "latency": {}, "compare": {}, "method": "Sequential"})
PODS = (*((CANDIDATE, index) for index in range(2)), *((STABLE, index) for index in range(2)))

happening = st.tuples(
    st.integers(0, len(PODS) - 1),
    st.one_of(
        st.tuples(st.just("serve"), st.integers(0, 50), st.integers(0, 20)),
        st.sampled_from([("restart",), ("scrape fails",), ("scrape works",), ("goes",), ("comes",)]),
    ),
)
moment = st.tuples(st.lists(happening, max_size=4), st.sampled_from([None, None, None, "away", "back"]))
lives = st.lists(moment, min_size=12, max_size=60)


@dataclass
class Truth:
    """What really happened: by pod, all that it ever served at each scrape, and the times at which something went wrong."""

    served: dict[str, tuple[int, int]] = field(default_factory=dict)
    scraped: dict[str, dict[float, tuple[int, int]]] = field(default_factory=dict)
    troubled: dict[str, list[float]] = field(default_factory=dict)


def name(which):
    return pod_name(*PODS[which])


def happen(world, truth, which, event):
    pod, now = world.pods.get(name(which)), world.clock.now()
    if event[0] == "comes" and pod is None:
        world.add(*PODS[which])
        truth.troubled[name(which)].append(now)
    if pod is None:
        return
    if event[0] == "serve":
        pod.serve(event[1], event[2])
        good, bad = truth.served[pod.name]
        truth.served[pod.name] = (good + event[1] + event[2], bad + event[2])
        return
    truth.troubled[pod.name].append(now)
    if event[0] == "restart":
        pod.restart()
    elif event[0] == "goes":
        world.remove(pod)
    else:
        pod.up = event[0] == "scrape works"


async def live_through(life):
    world, truth = World(seconds=SCRAPE), Truth()
    for which, (version, index) in enumerate(PODS):
        world.add(version, index)
        truth.served[name(which)], truth.scraped[name(which)], truth.troubled[name(which)] = (0, 0), {}, []
    counts = dict.fromkeys(world.pods, START)
    subscription = world.subscribe(metrics=(ERRORS, LATENCY, ANY), counts_from=counts)
    async with world.running():
        for events, outage in [*life, *[([], "back")] * 8]:
            for which, event in events:
                happen(world, truth, which, event)
            if outage is not None:
                world.prometheus.failure = UnavailableError("connection refused") if outage == "away" else None
            for pod, served in truth.served.items():
                truth.scraped[pod][world.clock.now()] = served
            world.second()
            await world.clock.advance(SCRAPE)
        live = world.sampler.windows(KEY)
    world.sampler = world.new_sampler()
    world.sampler.subscribe(KEY, subscription)
    async with world.running():
        await world.clock.advance(0.1)
        return live, world.sampler.windows(KEY), truth


def undisturbed(truth, pod, end):
    """Whether nothing had ever gone wrong with the pod."""
    return not any(at <= end for at in truth.troubled[pod])


def unnamed(windows):
    """Without the histogram's bound, which a live process names only once it has seen it."""
    return {name: [replace(window, effective_threshold=None) for window in found] for name, found in windows.items()}


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(lives)
def test_windows_hold_the_truth_where_it_can_be_seen_and_never_more(life):
    live, again, truth = asyncio.run(live_through(life))
    assert unnamed(again) == unnamed(live)
    for windows in live.values():
        assert all(one.end == two.start for one, two in itertools.pairwise(windows))
        assert all(window.answer in (Answer.COUNTS, Answer.NO_DATA) for window in windows)
    totals = dict.fromkeys(truth.served, (0, 0))
    for window in live["errors"]:
        assert window.candidate.requests == sum(counts.requests for _, counts in window.candidate_pods)
        for pod, counts in (*window.candidate_pods, *window.stable_pods):
            assert 0 <= counts.bad <= counts.requests
            totals[pod] = (totals[pod][0] + counts.requests, totals[pod][1] + counts.bad)
            if undisturbed(truth, pod, window.end):
                before, after = truth.scraped[pod][window.start], truth.scraped[pod][window.end]
                assert (counts.requests, counts.bad) == (after[0] - before[0], after[1] - before[1])
    for pod, (requests, bad) in totals.items():
        assert requests <= truth.served[pod][0]
        assert bad <= truth.served[pod][1]
    for window, whole in zip(live["latency"], live["any"], strict=True):
        assert window.candidate.bad == window.stable.bad == 0
        assert whole.answer is window.answer
        for _, ours, theirs in whole.bounds:
            assert (ours, theirs) == (window.candidate, window.stable)
