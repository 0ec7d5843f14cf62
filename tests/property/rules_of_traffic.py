"""What must hold of weights and pods at every decision: rules 1, 2, 7, 8, 10, 11 and the capacity rule.

Each function takes one decision and returns a complaint, or None. They say what DESIGN.md says and nothing of how the core
does it.
"""

from __future__ import annotations

from modelrollout.api.command import Action
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Mode, Role
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import Target

from .ledger import Look, live, mode, need, with_role
from .objects import copies
from .surroundings import TIMING


def rule_01_weights_add_up_to_100(look: Look) -> str | None:
    total = sum(look.now.values())
    nothing_yet = total == 0 and sum(look.was.values()) == 0
    return None if total == FULL_WEIGHT or nothing_yet else f"{look.now}"


def rule_01_one_stable_and_one_candidate(look: Look) -> str | None:
    roles = [entry.role for entry in look.after.revisions]
    if roles.count(Role.STABLE) > 1 or roles.count(Role.CANDIDATE) > 1 or len(look.now) != len(roles):
        return f"{[(entry.revision, entry.role) for entry in look.after.revisions]}"
    orphan = (with_role(look.after, Role.CANDIDATE) is None) != (look.after.rollout is None)
    return f"rollout {look.after.rollout} beside {look.now}" if orphan else None


def rule_01_weights_rise_only_onto_ready_pods(look: Look) -> str | None:
    if look.adopting or look.full == 0:
        return None
    losers = [name for name, weight in look.changed.items() if weight < look.was.get(name, 0)]
    dead = all(look.facts(name).ready == 0 for name in losers)
    for name, weight in look.changed.items():
        risen = weight > look.was.get(name, 0)
        if not risen or look.facts(name).ready:
            continue
        if _down(look, name):
            continue
        if not (losers and dead and look.stable and look.stable.revision == name):
            return f"{name} to {weight} without a ready pod"
    return None


def _down(look: Look, revision: str) -> bool:
    """Replace: stable has its weight and no pods by order, which stands in status; nobody else has another's."""
    stable = with_role(look.after, Role.STABLE)
    in_place = look.plan is not None and look.plan.in_place
    return in_place and look.after.down is not None and stable is not None and stable.revision == revision


def rule_01_down_by_order_is_said_and_ends_with_an_answer(look: Look) -> str | None:
    """Only Replace orders a gap, in the write that stops stable or takes the candidate's weight; it ends with a ready pod."""
    before, after, plan = look.before.down, look.after.down, look.plan
    if plan is None or look.adopting or look.situation.deleting:
        return None
    if before is None and after is not None:
        return None if plan.in_place else f"down by order since {after.since}, which is not Replace"
    if before is not None and after is None and look.full:
        carrying = [name for name, weight in look.now.items() if weight == FULL_WEIGHT]
        if not any(look.facts(name).ready for name in carrying):
            return f"{carrying} is said to answer"
    return None


def capacity_bounds_the_pods_of_all_versions(look: Look) -> str | None:
    """No version gets a pod beyond R and the surge, those on their way out counted."""
    plan = look.plan
    if plan is None or plan.surge is None or look.adopting or look.full == 0 or look.stable is None:
        return None
    grown = [
        entry
        for entry in look.after.revisions
        for known in look.before.revisions
        if known.revision == entry.revision
        and entry.replicas > max(known.replicas, look.facts(entry.revision).replicas)  # what runs is no new pod
    ]
    total = sum(
        entry.replicas
        if entry in grown
        else max(entry.replicas, look.facts(entry.revision).pods + look.facts(entry.revision).ending)
        for entry in look.after.revisions
    )
    return f"{total} pods of {look.full} + {plan.surge}" if grown and total > look.full + plan.surge else None


def capacity_takes_no_pod_from_traffic(look: Look) -> str | None:
    """Stable shrinks only to what its recorded weight needs, once that weight is what the route carries."""
    plan, stable = look.plan, with_role(look.after, Role.STABLE)
    if plan is None or plan.surge is None or stable is None or look.stable is None or look.adopting:
        return None
    if stable.revision != look.stable.revision or stable.replicas >= look.stable.replicas:
        return None
    carried = (look.situation.route.weights or {}).get(stable.revision, 0)
    least = _floor(plan, _lowest_full(look, plan), max(int(stable.weight), carried))
    return None if stable.replicas >= least else f"{stable.revision} to {stable.replicas} pods, needs {least}"


def replace_has_one_version_at_a_time(look: Look) -> str | None:
    """A version gets its first pods when the last one of every other is gone, unless that is kept warm from another strategy."""
    plan = look.plan
    if plan is None or not plan.in_place or look.adopting or look.full == 0:
        return None
    for entry in look.after.revisions:
        known = next((other for other in look.before.revisions if other.revision == entry.revision), None)
        if not entry.replicas or (known is not None and known.replicas):
            continue
        others = {other.revision: other for other in look.after.revisions if other.revision != entry.revision}
        for name, other in others.items():
            warm = other.warm_until is not None and other.warm_until > look.situation.now
            facts = look.facts(name)
            if not warm and (other.replicas or facts.pods or facts.ending):
                return f"{entry.revision} gets {entry.replicas} pods beside {facts.pods} and {facts.ending} of {name}"
    return None


def a_version_is_remembered_while_its_pods_end(look: Look) -> str | None:
    """Where versions wait for the place of others, one that is forgotten has no pod on its way out: nobody would count it."""
    plan, kept = look.plan, {entry.revision for entry in look.after.revisions}
    if plan is None or look.adopting or not (plan.in_place or (plan.surge is not None and look.candidate is not None)):
        return None
    for entry in look.before.revisions:
        facts = look.facts(entry.revision)
        if entry.revision not in kept and (facts.pods or facts.ending):
            return f"{entry.revision} is forgotten with {facts.pods} pods and {facts.ending} on their way out"
    return None


def replace_stops_nothing_for_a_paused_or_rejected_candidate(look: Look) -> str | None:
    if look.plan is None or look.before.down is not None or look.after.down is None or look.adopting:
        return None
    candidate, stable = with_role(look.after, Role.CANDIDATE), look.stable
    if candidate is None or stable is None or not stable.replicas:
        return None
    bound = any(entry.revision == candidate.revision for entry in look.after.rejected)
    paused = look.plan.paused or look.before.paused is not None
    return f"{stable.revision} is stopped for {candidate.revision}" if bound or paused else None


def rule_01_readiness_is_debounced(look: Look) -> str | None:
    candidate = look.candidate
    if candidate is None or look.changed.get(candidate.revision, 0) <= candidate.weight or look.full == 0:
        return None
    since = look.facts(candidate.revision).ready_since
    settled = since is not None and look.situation.now - since >= TIMING.ready_for - 0.001
    return None if settled else f"{candidate.revision} rises, ready since {since}, now {look.situation.now}"


def rule_01_a_candidate_without_ready_pod_goes_to_0(look: Look) -> str | None:
    candidate, stable = with_role(look.after, Role.CANDIDATE), with_role(look.after, Role.STABLE)
    if candidate is None or stable is None or not candidate.weight or look.situation.deleting or look.full == 0:
        return None
    if look.facts(candidate.revision).ready or not look.facts(stable.revision).ready:
        return None
    return f"{candidate.revision} keeps {int(candidate.weight)} without a ready pod"


def rule_01_unready_stable_pushes_nothing_onto_the_candidate(look: Look) -> str | None:
    """Stable must be able to carry what it has; only `promote`, or a stable that is dead for long, is the way round."""
    candidate, stable = look.candidate, look.stable
    if candidate is None or stable is None or mode(look.after) is Mode.DIRECT:
        return None
    risen = look.changed.get(candidate.revision, 0) > candidate.weight
    share = need(look.full, FULL_WEIGHT - int(candidate.weight))
    ready = look.facts(stable.revision).ready
    if risen and ready < min(stable.replicas, max(1, share)):
        return f"{candidate.revision} rises while stable has {ready} of {stable.replicas} ready"
    return None


def rule_01_all_at_once_only_with_cause(look: Look) -> str | None:
    """Without steps: no stable, a dead stable, a way back, an order by a person, or nothing runs at all."""
    if mode(look.after) is not Mode.DIRECT or (look.same_rollout and mode(look.before) is Mode.DIRECT):
        return None
    if look.plan is not None and look.full == 0:
        return None
    if look.same_rollout:
        return None if look.accepted(Action.PROMOTE) else "a rollout turns Direct without a command"
    if look.stable is None or look.accepted(Action.UNDO) or _stable_is_dead(look) or _way_back(look):
        return None
    if _won(look):
        return None
    return f"all at once beside stable {look.stable.revision}: {look.after.rollout}"


def _stable_is_dead(look: Look) -> bool:
    if look.stable is None or look.plan is None or look.facts(look.stable.revision).ready:
        return False
    # A gap between two processes is told by the wall clock alone, and counts for a minute at most.
    return look.ledger.dead_for(look) + 60.0 * look.ledger.jumps >= look.plan.load_deadline - 1.0


def _won(look: Look) -> bool:
    """A variant of an A/B test was chosen, by a person or by the evidence."""
    test, rollout = look.before.experiment, look.after.rollout
    return test is not None and rollout is not None and rollout.revision in {arm.revision for arm in test.variants}


def _way_back(look: Look) -> bool:
    """The revision is warm and was not rejected (rule 8)."""
    revision = look.after.rollout.revision if look.after.rollout else ""
    former = next((entry for entry in look.before.revisions if entry.revision == revision), None)
    rejected = any(entry.revision == revision for entry in look.after.rejected)
    return former is not None and former.warm_until is not None and not rejected


def _floor(plan: Plan, full: int, weight: int) -> int:
    """Pods for a weight; within a capacity both sides are divided, and a third is no whole number of hundredths."""
    return need(full, weight if plan.surge is None else max(0, weight - 1))


def rule_02_pods_cover_the_recorded_weight(look: Look) -> str | None:
    plan = look.plan
    if plan is None or look.situation.deleting:
        return None
    for entry in look.after.revisions:
        floor = _floor(plan, _lowest_full(look, plan), int(entry.weight))
        known = next((other for other in look.before.revisions if other.revision == entry.revision), None)
        falls = known is None or entry.replicas < known.replicas or entry.weight > known.weight
        bounded = plan.surge is not None or plan.in_place
        if bounded and entry.role is Role.STABLE and known and entry.replicas >= known.replicas:
            continue  # on the way back where places are few its pods come as the candidate's go
        if falls and entry.replicas < floor and not look.adopting and not _down(look, entry.revision):
            return f"{entry.revision} has {int(entry.weight)} and {entry.replicas} pods, needs {floor}"
    return None


def rule_02_pods_are_ordered_away_after_the_traffic(look: Look) -> str | None:
    """The record asks for fewer pods only once the data plane, as it really is, needs no more of them."""
    plan, serving = look.plan, look.world.route.serving
    stale = look.world.lag > 0 or bool(look.world.pending)
    if plan is None or plan.router == "Service" or stale or look.adopting or serving not in look.ledger.recorded:
        return None
    for entry in look.before.revisions:
        kept = next((other.replicas for other in look.after.revisions if other.revision == entry.revision), 0)
        share = max(serving.get(entry.revision, 0), serving.get(copies(entry.revision), 0))
        floor = _floor(plan, min(_lowest_full(look, plan), entry.replicas), share)
        if kept < entry.replicas and kept < floor and not _down(look, entry.revision):
            return f"{entry.revision} from {entry.replicas} to {kept} pods while it serves {share}"
    return None


def rule_02_stable_keeps_all_its_pods(look: Look) -> str | None:
    """Until the scale-down delay ends, unless the plan asks for fewer; the replica-ratio router alone moves pods."""
    plan = look.plan
    if plan is None or plan.router == "Service" or look.adopting or plan.in_place or plan.surge is not None:
        return None
    for entry in look.after.revisions:
        known = next((other for other in look.before.revisions if other.revision == entry.revision), None)
        if known is None or known.role is not Role.STABLE or entry.replicas >= known.replicas:
            continue
        if entry.replicas < _lowest_full(look, plan):
            return f"{entry.revision} falls from {known.replicas} to {entry.replicas} pods"
    return None


def capacity_is_ready_before_the_weight_rises(look: Look) -> str | None:
    candidate = look.candidate
    if candidate is None or look.plan is None or look.full == 0:
        return None
    weight = look.changed.get(candidate.revision, 0)
    if weight <= candidate.weight:
        return None
    alone = look.stable is None or not look.facts(look.stable.revision).ready
    wanted = max(1, need(look.full, weight))
    if look.plan.router == "Service" and weight < FULL_WEIGHT:
        wanted = 1  # There the pods are the share: they come with it.
    elif look.plan.full_candidate:
        wanted = look.full
    if mode(look.after) is Mode.DIRECT and alone:
        wanted = 1
    ready = look.facts(candidate.revision).ready
    return None if ready >= wanted else f"{candidate.revision} to {weight} with {ready} of {wanted} pods ready"


def capacity_r_is_recorded_at_the_start(look: Look) -> str | None:
    rollout = look.after.rollout
    if rollout is None or look.same_rollout or look.plan is None:
        return None
    wanted = {look.plan.replicas} | ({look.before.experiment.replicas} if look.before.experiment else set())
    if look.plan.autoscaled and look.stable is not None:
        wanted.add(look.facts(look.stable.revision).replicas)
    return None if rollout.replicas in wanted else f"R is {rollout.replicas}, not of {wanted}"


def _lowest_full(look: Look, plan: Plan) -> int:
    """R where the plan and the record differ because somebody scaled in mid-rollout: the lower one."""
    rollout = look.after.rollout or look.after.experiment or look.before.rollout or look.before.experiment
    return min(plan.replicas, rollout.replicas) if rollout else plan.replicas


def rule_07_promotion_is_one_write_at_100_applied(look: Look) -> str | None:
    before, after = look.stable, with_role(look.after, Role.STABLE)
    if look.adopting or after is None or (before is not None and before.revision == after.revision):
        gone = not look.adopting and after is None and before is not None
        return "stable is gone" if gone else None
    candidate = look.candidate
    if candidate is None or candidate.revision != after.revision:
        return f"{after.revision} became stable and was no candidate"
    applied = look.before.traffic.applied_at is not None or look.full == 0 or not look.was.get(after.revision)
    carried = look.situation.route.weights == {after.revision: FULL_WEIGHT} and look.situation.route.accepted
    serving = look.world.route.serving == {after.revision: FULL_WEIGHT}
    if (
        candidate.weight != FULL_WEIGHT
        or not (applied or carried)
        or not (serving or look.full == 0 or look.ledger.loose)
    ):
        return f"{after.revision} became stable at {int(candidate.weight)}, carried {look.situation.route.weights}"
    return None


def rule_07_a_new_spec_goes_back_to_the_old_stable_first(look: Look) -> str | None:
    one, two = look.before.rollout, look.after.rollout
    if one is None or two is None or one.revision == two.revision:
        return None
    carried = look.situation.route.weights or {}
    if look.was.get(one.revision, 0) or carried.get(one.revision, 0) > look.was.get(one.revision, 0):
        return f"{two.revision} starts while {one.revision} has {look.was.get(one.revision)}"
    return None


def rule_07_finish_lets_the_candidate_finish(look: Look) -> str | None:
    """With `Finish`, only stable's own spec ends a rollout by asking for something else."""
    one, two = look.before.rollout, look.after.rollout
    if one is None or (two is not None and two.revision == one.revision) or look.plan is None or look.stable is None:
        return None
    ended = look.after.history[-1:]
    target = look.situation.target
    if not ended or ended[0].outcome != "Superseded" or not look.plan.finish_when_superseded:
        return None
    bound = isinstance(target, Target) and any(entry.revision == target.revision for entry in look.before.rejected)
    home = isinstance(target, Target) and target.revision == look.stable.revision
    # The plan of an A/B test has no steps by which it could finish.
    without_steps = isinstance(target, Target) and bool(target.arms) and one.mode is Mode.STEPS
    return None if home or bound or without_steps else f"{one.revision} was withdrawn for {target}"


def rule_08_warmth_ends_with_the_order_to_scale_down(look: Look) -> str | None:
    for entry in look.after.revisions:
        known = next((other for other in look.before.revisions if other.revision == entry.revision), None)
        if known is None or known.role is not Role.FORMER or entry.role is not Role.FORMER:
            continue
        if entry.replicas < known.replicas and entry.warm_until is not None:
            return f"{entry.revision} is scaled to {entry.replicas} and still called warm"
        bounded = look.plan is not None and look.plan.surge is not None and look.candidate is not None
        if bounded:
            continue  # its place is wanted
        if known.warm_until is not None and known.warm_until > look.situation.now and entry.replicas < known.replicas:
            return f"{entry.revision} is scaled to {entry.replicas} in its warm time"
    return None


def rule_08_a_former_stable_stays_warm(look: Look) -> str | None:
    before, after = look.stable, with_role(look.after, Role.STABLE)
    if before is None or after is None or before.revision == after.revision or look.plan is None:
        return None
    left = next((entry for entry in look.after.revisions if entry.revision == before.revision), None)
    rejected = any(entry.revision == before.revision for entry in look.after.rejected)
    if rejected or not look.plan.scale_down_delay or look.plan.in_place:
        return None
    if left is None or left.warm_until is None or left.replicas < before.replicas:
        return f"{before.revision} left stable as {left}"
    return None


def rule_10_every_weight_is_in_the_timeline(look: Look) -> str | None:
    was, now = look.before.timeline, look.after.timeline
    fresh = now[len(was) :] if len(now) > len(was) else ()
    for cut in range(len(was) + 1):
        if was[cut:] == now[: len(was) - cut]:
            fresh = now[len(was) - cut :]
            break
    if len(was) + len(fresh) > len(now) and len(now) < 30:
        return f"entries were lost: {was} became {now}"
    named = {entry.revision: int(entry.weight) for entry in fresh}
    stable = {entry.revision for entry in (look.stable, with_role(look.after, Role.STABLE)) if entry}
    missing = [name for name, weight in look.changed.items() if named.get(name) != weight and name not in stable]
    implied = set(look.changed) & set(named) or not look.changed
    if missing or not implied:
        return f"{look.changed} is not told by {fresh}"
    copied = {name for name in named if look.mirrored(look.after).get(name) != look.mirrored(look.before).get(name)}
    wrong = [name for name, weight in named.items() if look.changed.get(name, look.now.get(name)) != weight]
    idle = [name for name in named if name not in look.changed and name not in copied]
    if (wrong or idle) and not look.adopting:
        return f"{fresh} was told, but {look.changed} changed"
    return None


def a_lost_status_is_read_from_the_route(look: Look) -> str | None:
    """Stable is what carries the most traffic in the owned route, else the oldest that is ready."""
    stable = with_role(look.after, Role.STABLE)
    present = {name: facts for name, facts in look.situation.revisions.items() if facts.exists}
    if not look.adopting or look.situation.deleting or not present:
        return None
    carried = {name: weight for name, weight in (look.situation.route.weights or {}).items() if name in present}
    ready = [name for name, facts in present.items() if facts.ready]
    most = [name for name, weight in carried.items() if weight == max(carried.values())]
    oldest = min(ready, key=lambda name: present[name].order, default=None)
    wanted = most or ([oldest] if oldest else list(present))
    return None if stable is not None and stable.revision in wanted else f"{stable} of {wanted}"


def capacity_one_pod_of_a_failed_candidate_stays(look: Look) -> str | None:
    """For its logs, for `keepFailed`, at weight 0; behind a plain Service its pods have to go at once."""
    plan = look.plan
    if plan is None or not plan.keep_failed or plan.router == "Service" or look.situation.deleting or plan.in_place:
        return None
    if plan.surge is not None and look.candidate is not None:
        return None  # its place is wanted
    known = {entry.revision for entry in look.before.rejected}
    for entry in look.after.revisions:
        was = next((other for other in look.before.revisions if other.revision == entry.revision), None)
        fresh = entry.revision not in known and any(other.revision == entry.revision for other in look.after.rejected)
        if fresh and entry.role is Role.FORMER and was is not None and was.replicas and entry.kept_until is None:
            return f"{entry.revision} is rejected and not kept"
        kept = was is not None and was.kept_until is not None and was.kept_until > look.situation.now
        if kept and entry.role is Role.FORMER and was and was.replicas and not entry.replicas:
            return f"{entry.revision} loses its last pod before {was.kept_until}"
    return None


def rule_11_a_serving_revision_stays_as_it_is(look: Look) -> str | None:
    """No revision with traffic vanishes from the record: its Deployment would be deleted and made anew."""
    gone = [name for name in live(look.before) if name not in look.now]
    return f"{gone} had traffic" if gone else None


RULES_OF_TRAFFIC = (
    rule_01_weights_add_up_to_100,
    rule_01_one_stable_and_one_candidate,
    rule_01_weights_rise_only_onto_ready_pods,
    rule_01_down_by_order_is_said_and_ends_with_an_answer,
    replace_has_one_version_at_a_time,
    a_version_is_remembered_while_its_pods_end,
    capacity_bounds_the_pods_of_all_versions,
    capacity_takes_no_pod_from_traffic,
    replace_stops_nothing_for_a_paused_or_rejected_candidate,
    rule_01_readiness_is_debounced,
    rule_01_a_candidate_without_ready_pod_goes_to_0,
    rule_01_unready_stable_pushes_nothing_onto_the_candidate,
    rule_01_all_at_once_only_with_cause,
    rule_02_pods_cover_the_recorded_weight,
    rule_02_pods_are_ordered_away_after_the_traffic,
    rule_02_stable_keeps_all_its_pods,
    capacity_is_ready_before_the_weight_rises,
    capacity_r_is_recorded_at_the_start,
    rule_07_promotion_is_one_write_at_100_applied,
    rule_07_a_new_spec_goes_back_to_the_old_stable_first,
    rule_07_finish_lets_the_candidate_finish,
    rule_08_warmth_ends_with_the_order_to_scale_down,
    rule_08_a_former_stable_stays_warm,
    rule_10_every_weight_is_in_the_timeline,
    a_lost_status_is_read_from_the_route,
    capacity_one_pod_of_a_failed_candidate_stays,
    rule_11_a_serving_revision_stays_as_it_is,
)
