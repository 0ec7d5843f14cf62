"""The semantics of a rollout, from top to bottom.

Each rule states one fact and what follows from it: a `Move` (the recorded state changes), a `Wait` (nothing changes now, and
why), or None (the fact does not hold; ask the next rule). The first answer counts, so the order of `RULES` *is* the priority:
what takes traffic away from a bad version stands before everything that people and plans ask for, and raising a weight is the
last thing that anything leads to.
"""

from __future__ import annotations

from collections.abc import Callable

from .arm_rules import (
    ab_test_is_decided,
    ab_test_runs,
    ab_test_starts,
    ab_test_without_variants_ends,
    abort_of_a_test_goes_first,
    failed_guard_takes_a_variant_out,
    lowered_shares_are_followed,
    raised_attempt_readmits_variants,
    superseded_test_is_withdrawn,
    taken_out_variant_gives_back,
    unstable_variant_is_taken_out,
    variant_that_does_not_load_is_taken_out,
    variant_without_ready_pod_gives_back,
    variant_without_series_is_taken_out,
    variants_take_their_shares,
    wrong_answer_takes_a_variant_out,
)
from .book import Book
from .moves import Move, Wait
from .place_rules import (
    one_version_at_a_time,
    something_answers_again,
)
from .request_rules import (
    command_is_taken,
    deletion_changes_nothing,
    edited_steps_are_followed,
    former_versions_leave,
    lost_status_is_read_from_the_cluster,
    new_candidate_starts,
    pods_follow_the_plan,
    raised_attempt_revives,
    superseded_candidate_is_withdrawn,
)
from .return_rules import (
    abort_goes_first,
    candidate_without_ready_pod_gives_back,
    failed_metric_takes_back,
    impossible_mirror_gives_back,
    load_deadline_takes_back,
    missing_series_give_back,
    rejected_candidate_returns,
    scheduling_deadline_takes_back,
    unstable_candidate_takes_back,
    wrong_answer_takes_back,
)
from .step_rules import (
    candidate_takes_its_step,
    direct_candidate_takes_all,
    last_step_promotes,
    next_step_begins,
    step_is_held,
)
from .waits import rest

Rule = Callable[[Book], Move | Wait | None]


def nothing_to_do(book: Book) -> Wait:
    """No rollout is under way."""
    return rest(book)


RULES: tuple[Rule, ...] = (
    deletion_changes_nothing,
    lost_status_is_read_from_the_cluster,
    abort_goes_first,
    abort_of_a_test_goes_first,
    failed_metric_takes_back,
    unstable_candidate_takes_back,
    wrong_answer_takes_back,
    scheduling_deadline_takes_back,
    load_deadline_takes_back,
    failed_guard_takes_a_variant_out,
    unstable_variant_is_taken_out,
    wrong_answer_takes_a_variant_out,
    variant_that_does_not_load_is_taken_out,
    variant_without_series_is_taken_out,
    taken_out_variant_gives_back,
    variant_without_ready_pod_gives_back,
    rejected_candidate_returns,
    candidate_without_ready_pod_gives_back,
    missing_series_give_back,
    impossible_mirror_gives_back,
    command_is_taken,
    raised_attempt_revives,
    raised_attempt_readmits_variants,
    superseded_candidate_is_withdrawn,
    superseded_test_is_withdrawn,
    ab_test_without_variants_ends,
    edited_steps_are_followed,
    pods_follow_the_plan,
    former_versions_leave,
    new_candidate_starts,
    something_answers_again,
    one_version_at_a_time,
    direct_candidate_takes_all,
    candidate_takes_its_step,
    step_is_held,
    next_step_begins,
    last_step_promotes,
    ab_test_starts,
    lowered_shares_are_followed,
    variants_take_their_shares,
    ab_test_is_decided,
    ab_test_runs,
    nothing_to_do,
)
