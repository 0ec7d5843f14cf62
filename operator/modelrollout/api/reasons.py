"""Every reason that a condition, an event or a column can show, with its cause and its cure.

The reference page is generated from this table, so a reason cannot exist without an explanation.
"""

from __future__ import annotations

from typing import NamedTuple

from .base import Enum


class Explanation(NamedTuple):
    """Why a reason appears and what to do."""

    cause: str
    cure: str


class Reason(Enum):
    """One CamelCase word: why things are as they are."""

    # Steady
    SERVING = "Serving"
    SCALED_TO_ZERO = "ScaledToZero"
    # A rollout that runs as planned
    CREATING = "Creating"
    MODEL_LOADING = "ModelLoading"
    WARMING_UP = "WarmingUp"
    WARM_UP_UNANSWERED = "WarmUpUnanswered"
    SCALING_UP = "ScalingUp"
    NO_CAPACITY = "NoCapacity"
    REPLACING = "Replacing"
    RETURNING = "Returning"
    ROUTE_PENDING = "RoutePending"
    ANALYSIS_PASSING = "AnalysisPassing"
    COLLECTING_DATA = "CollectingData"
    HOLDING = "Holding"
    UNJUDGED = "Unjudged"
    PROMOTING = "Promoting"
    QUEUED = "Queued"
    EXPERIMENT_RUNNING = "ExperimentRunning"
    # Waiting for somebody or something
    DECISION_REQUIRED = "DecisionRequired"
    CONTROL_NOT_STABLE = "ControlNotStable"
    SPEC_BEHIND = "SpecBehind"
    APPROVAL_REQUIRED = "ApprovalRequired"
    PAUSED_BY_SPEC = "PausedBySpec"
    PAUSED_BY_COMMAND = "PausedByCommand"
    METRIC_BREACHED = "MetricBreached"
    STABLE_BREACHES_TOO = "StableBreachesToo"
    UNDERPOWERED = "Underpowered"
    NOT_ENOUGH_EVIDENCE = "NotEnoughEvidence"
    STABLE_UNAVAILABLE = "StableUnavailable"
    CANDIDATE_UNREADY = "CandidateUnready"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    TRAFFIC_MISMATCH = "TrafficMismatch"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    METRICS_MISSING = "MetricsMissing"
    NO_METRICS_PROVIDER = "NoMetricsProvider"
    # Taken back
    ERROR_RATE_WORSE = "ErrorRateWorse"
    ERROR_RATE_TOO_HIGH = "ErrorRateTooHigh"
    LATENCY_WORSE = "LatencyWorse"
    LATENCY_TOO_HIGH = "LatencyTooHigh"
    DISAGREES = "Disagrees"
    METRIC_WORSE = "MetricWorse"
    METRIC_OUT_OF_RANGE = "MetricOutOfRange"
    METRIC_UNUSUAL = "MetricUnusual"
    CANDIDATE_UNSTABLE = "CandidateUnstable"
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    WARM_UP_FAILED = "WarmUpFailed"
    INCONCLUSIVE = "Inconclusive"
    ABORTED = "Aborted"
    UNDONE = "Undone"
    REJECTED = "Rejected"
    # Something has to be changed by a person
    INVALID_SPEC = "InvalidSpec"
    FOREIGN_OBJECT = "ForeignObject"
    ROUTER_MISSING = "RouterMissing"
    MIRROR_UNSUPPORTED = "MirrorUnsupported"
    COMPARER_UNREADY = "ComparerUnready"
    REFUSED_BY_SERVER = "RefusedByServer"
    RECORD_MISSING = "RecordMissing"
    OUTDATED_CRDS = "OutdatedCRDs"
    # How an A/B test ended
    STABLE_KEPT = "StableKept"
    WINNER_CHOSEN = "WinnerChosen"
    EXPERIMENT_FAILED = "ExperimentFailed"
    # What happened (events, timeline)
    EXPERIMENT_STARTED = "ExperimentStarted"
    SHARES_SET = "SharesSet"
    VARIANT_TAKEN_OUT = "VariantTakenOut"
    CANDIDATE_CREATED = "CandidateCreated"
    STOPPED_FOR_REPLACEMENT = "StoppedForReplacement"
    SERVING_AGAIN = "ServingAgain"
    PREVIEWING = "Previewing"
    MIRRORING = "Mirroring"
    WEIGHT_CHANGED = "WeightChanged"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    FIRST_VERSION = "FirstVersion"
    WAY_BACK = "WayBack"
    ADOPTED = "Adopted"
    RETRIED = "Retried"
    APPROVED = "Approved"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    COMMAND_REFUSED = "CommandRefused"
    SCALED_DOWN = "ScaledDown"
    DRIFT_CORRECTED = "DriftCorrected"
    PROMOTED_BY_COMMAND = "PromotedByCommand"


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.SERVING: Explanation("The desired version carries all traffic.", "Nothing to do."),
    Reason.SCALED_TO_ZERO: Explanation("`spec.replicas` is 0.", "Raise `spec.replicas` to serve again."),
    Reason.CREATING: Explanation("Objects of a new revision are being created.", "Nothing to do."),
    Reason.MODEL_LOADING: Explanation(
        "The candidate's pods are not ready yet.", "Wait; `rollout.loadDeadline` bounds it."
    ),
    Reason.WARMING_UP: Explanation(
        "The candidate is ready; its readiness is being confirmed, or its pods are sent the requests of `rollout.warmUp`.",
        "Nothing to do.",
    ),
    Reason.WARM_UP_UNANSWERED: Explanation(
        "A pod that is ready gives no answer to a request of `rollout.warmUp`; `rollout.loadDeadline` bounds it.",
        "Let a NetworkPolicy admit the operator to the pods' serving port; check `server.port` and `warmUp.timeout`.",
    ),
    Reason.SCALING_UP: Explanation(
        "The next weight needs more ready pods than there are.", "Wait, or see why pods do not become ready."
    ),
    Reason.NO_CAPACITY: Explanation(
        "No node has room for the candidate's next pod; `rollout.capacity.schedulingDeadline` bounds it.",
        "Add nodes or free some. A candidate without traffic is taken back at the deadline; one with traffic goes on by itself once there is room.",
    ),
    Reason.REPLACING: Explanation(
        "Strategy Replace: the old version is stopped, and nothing answers until the new one is ready.",
        "Wait; `rollout.loadDeadline` bounds the load, then the old version is started again. So does `kubectl modelrollout abort NAME`.",
    ),
    Reason.RETURNING: Explanation(
        "Strategy Replace: the candidate was taken back and is stopped, and nothing answers until the old version is ready.",
        "Wait.",
    ),
    Reason.ROUTE_PENDING: Explanation("The router has not applied the recorded weight yet.", "Nothing to do."),
    Reason.ANALYSIS_PASSING: Explanation("The step is held and its metrics are sound.", "Nothing to do."),
    Reason.COLLECTING_DATA: Explanation(
        "A metric has not seen its minimum sample in this step, or promotion still lacks its certificate.",
        "Wait for traffic, or lower `minimumSampleSize`.",
    ),
    Reason.HOLDING: Explanation("The step's hold is not over.", "Nothing to do."),
    Reason.UNJUDGED: Explanation(
        "No metric speaks: `analysis.mode` is None, or each only compares with stable and no step gives both versions traffic.",
        "Name metrics to have it judged; in a bake those with a `limit` speak, in a preview those with `when: [Preview]`.",
    ),
    Reason.PROMOTING: Explanation("The candidate is becoming stable.", "Nothing to do."),
    Reason.QUEUED: Explanation(
        "`rollout.whenSuperseded` is Finish and a rollout is under way.", "Wait, or abort the rollout."
    ),
    Reason.EXPERIMENT_RUNNING: Explanation("The A/B test runs at its shares.", "Nothing to do."),
    Reason.DECISION_REQUIRED: Explanation(
        "The duration of an A/B test with end Manual is over.",
        "`kubectl modelrollout promote NAME --variant VARIANT`, or `kubectl modelrollout abort NAME` to keep the control.",
    ),
    Reason.CONTROL_NOT_STABLE: Explanation(
        "The version that the spec itself names is the control of its A/B test, and another version is stable.",
        "Roll it out first with another strategy, or write it as a variant beside the stable version.",
    ),
    Reason.SPEC_BEHIND: Explanation(
        "An A/B test ended with a winner, which is stable; the spec still asks for the test.",
        "Write the winner's fields, which the message names, into the spec and leave out `rollout.variants`; nothing restarts.",
    ),
    Reason.STABLE_KEPT: Explanation(
        "The A/B test is over and the control has all traffic.", "Take the test out of the spec."
    ),
    Reason.WINNER_CHOSEN: Explanation(
        "The A/B test is over and a variant takes all traffic.", "Commit it once it is stable (SpecBehind)."
    ),
    Reason.EXPERIMENT_FAILED: Explanation(
        "All variants of the A/B test were taken out.",
        "Read why in the events; change the variants, take the test out of the spec, or raise `spec.rollout.attempt`.",
    ),
    Reason.EXPERIMENT_STARTED: Explanation("An A/B test began.", "Nothing to do."),
    Reason.SHARES_SET: Explanation("The variants of an A/B test were given their shares.", "Nothing to do."),
    Reason.VARIANT_TAKEN_OUT: Explanation(
        "A variant of an A/B test was taken out; the others go on.", "Read the message for why."
    ),
    Reason.APPROVAL_REQUIRED: Explanation("The step ends by approval.", "`kubectl modelrollout approve NAME`."),
    Reason.PAUSED_BY_SPEC: Explanation("`spec.rollout.paused` is true.", "Set it to false."),
    Reason.PAUSED_BY_COMMAND: Explanation("Somebody paused the rollout.", "`kubectl modelrollout resume NAME`."),
    Reason.METRIC_BREACHED: Explanation(
        "A metric whose `onBreach` is Pause failed.",
        "Look at the metric; abort, or set its `onBreach` to Warn to go on.",
    ),
    Reason.STABLE_BREACHES_TOO: Explanation(
        "Both versions are above a metric's `limit`: the candidate is not to blame.",
        "Look at what both depend on; the rollout goes on when stable is below the limit again. Or abort, or raise `limit`.",
    ),
    Reason.UNDERPOWERED: Explanation(
        "At this traffic the last live step cannot certify that the candidate is not much worse before its `maxDuration`; as an Event: expected so from stable's traffic.",
        "Send more traffic, raise `weight` or `maxDuration`, raise `ignoreBelow` or `nonInferiorityMargin`, or approve the step when it pauses.",
    ),
    Reason.NOT_ENOUGH_EVIDENCE: Explanation(
        "The step lacked evidence at its `maxDuration`.", "Approve it, abort it, or send more traffic."
    ),
    Reason.STABLE_UNAVAILABLE: Explanation(
        "Stable has unready pods; no weight is pushed onto the candidate.",
        "Repair stable, or `kubectl modelrollout promote NAME`.",
    ),
    Reason.CANDIDATE_UNREADY: Explanation(
        "The candidate has too few ready pods.", "See its pods; `rollout.unavailableDeadline` bounds it."
    ),
    Reason.ROUTE_NOT_ACCEPTED: Explanation(
        "The router does not accept the route, or no gateway of that name has taken it.",
        "Read the route's status; check what `traffic` names: `gateway.parentRefs`, say.",
    ),
    Reason.TRAFFIC_MISMATCH: Explanation(
        "The measured share of requests differs from the weight for long.", "Check for callers that bypass the router."
    ),
    Reason.METRICS_UNAVAILABLE: Explanation(
        "The metrics provider does not answer.", "Nothing changes until it does; missed windows are read back."
    ),
    Reason.METRICS_MISSING: Explanation(
        "The candidate's series do not exist although it has traffic; before the first weight: neither version has them, or nothing scrapes the candidate.",
        "Expose /metrics, name the router's counters, or set `analysis.mode: None`.",
    ),
    Reason.NO_METRICS_PROVIDER: Explanation(
        "No provider of that name is set up.", "Ask the administrator, name another one, or set `analysis.mode: None`."
    ),
    Reason.ERROR_RATE_WORSE: Explanation(
        "The candidate's error rate is worse than stable's.", "Fix the model and apply a new version."
    ),
    Reason.ERROR_RATE_TOO_HIGH: Explanation(
        "The candidate's error rate exceeds `limit`.", "Fix the model and apply a new version."
    ),
    Reason.LATENCY_WORSE: Explanation("The candidate is slower than stable.", "Fix the model and apply a new version."),
    Reason.LATENCY_TOO_HIGH: Explanation(
        "Too many of the candidate's requests are slower than the threshold.", "Fix the model and apply a new version."
    ),
    Reason.DISAGREES: Explanation(
        "The candidate answers too many requests otherwise than stable.",
        "Look at what differs; fix the model, or raise `limit` if the new answers are the better ones.",
    ),
    Reason.METRIC_WORSE: Explanation(
        "A metric of the candidate is worse than stable's.", "Fix the model and apply a new version."
    ),
    Reason.METRIC_OUT_OF_RANGE: Explanation(
        "A metric of the candidate is outside its objective.", "Fix the model and apply a new version."
    ),
    Reason.METRIC_UNUSUAL: Explanation(
        "A number of the candidate is far from what is usual for stable.",
        "Look at what the model answers; raise `anomaly.sensitivity` if that is how it should be.",
    ),
    Reason.CANDIDATE_UNSTABLE: Explanation(
        "The candidate's containers restarted 3 times within a step, or it stayed unready.",
        "Read its logs; one pod is kept for `rollout.keepFailed`.",
    ),
    Reason.MODEL_LOAD_FAILED: Explanation(
        "The candidate was not ready within `rollout.loadDeadline`.",
        "Read its logs; fix the model or raise the deadline.",
    ),
    Reason.WARM_UP_FAILED: Explanation(
        "A pod of the candidate answered a request of `rollout.warmUp` wrongly or too slowly.",
        "Compare what was expected with what came; fix the model, or the expectation and `kubectl modelrollout retry NAME`.",
    ),
    Reason.INCONCLUSIVE: Explanation(
        "The step lacked evidence and `analysis.onInconclusive` is Rollback.", "Send more traffic or hold longer."
    ),
    Reason.ABORTED: Explanation(
        "Somebody aborted the rollout.", "Apply a new version or `kubectl modelrollout retry NAME`."
    ),
    Reason.UNDONE: Explanation(
        "Somebody went back to the version before.", "Apply a new version or `kubectl modelrollout retry NAME`."
    ),
    Reason.REJECTED: Explanation(
        "The spec asks for a revision that was taken back.",
        "Revert the spec, apply a newer version, or raise `spec.rollout.attempt`.",
    ),
    Reason.INVALID_SPEC: Explanation("The spec cannot be carried out.", "Change the field that the message names."),
    Reason.FOREIGN_OBJECT: Explanation(
        "An object of the needed name exists and is not ours.", "Delete or rename it, or rename the ModelDeployment."
    ),
    Reason.ROUTER_MISSING: Explanation(
        "The cluster does not serve the kinds of the router that the spec names, or the operator is not set up for it.",
        "Install it, have it added to the settings (`routers`), or name another router under `traffic`.",
    ),
    Reason.MIRROR_UNSUPPORTED: Explanation(
        "The step mirrors requests, and the gateway cannot do that or it is not known whether it can: some gateways answer every request with an error instead.",
        "Use a gateway that can (docs/shadow.md), let the operator read Gateways and GatewayClasses, or leave out `shadow`.",
    ),
    Reason.COMPARER_UNREADY: Explanation(
        "The pod that compares answers is not ready, or the administrator has set up no image for it.",
        "See the pods of the Deployment NAME-comparer; set `comparer.image` in the settings, or leave out `shadow.compare`.",
    ),
    Reason.REFUSED_BY_SERVER: Explanation(
        "The API server refused an object (quota, admission, validation).", "Read the message; it is the server's."
    ),
    Reason.RECORD_MISSING: Explanation(
        "Somebody deleted the ControllerRevision of a version that has traffic while the operator was down.",
        "Restore it from a backup, or promote the other version. Until then its pods and the route are left as they are.",
    ),
    Reason.OUTDATED_CRDS: Explanation(
        "The CRDs of the cluster are older than the operator, so the API server drops fields of the status (an Event).",
        "`kubectl apply --server-side --force-conflicts -f crds/` of the operator's release, or `helm upgrade`.",
    ),
    Reason.CANDIDATE_CREATED: Explanation("A rollout began.", "Nothing to do."),
    Reason.STOPPED_FOR_REPLACEMENT: Explanation(
        "Strategy Replace: one version was stopped so that another can have its place.", "Nothing to do."
    ),
    Reason.SERVING_AGAIN: Explanation(
        "Strategy Replace: a version answers after the gap; the message says how long that was.", "Nothing to do."
    ),
    Reason.PREVIEWING: Explanation(
        "The candidate is in a step of weight 0: only testers meet it.", "Try it, then approve the step or abort."
    ),
    Reason.MIRRORING: Explanation(
        "A share of requests is copied to the candidate, which serves nobody.", "Nothing to do; docs/shadow.md."
    ),
    Reason.WEIGHT_CHANGED: Explanation("A weight was recorded.", "Nothing to do."),
    Reason.PROMOTED: Explanation("The candidate became stable.", "Nothing to do."),
    Reason.ROLLED_BACK: Explanation("The candidate was taken back.", "Read the message for why."),
    Reason.SUPERSEDED: Explanation("The spec asks for something else now.", "Nothing to do."),
    Reason.FIRST_VERSION: Explanation("There is no stable version to compare with.", "Nothing to do."),
    Reason.WAY_BACK: Explanation("The spec asks for a version that is still warm.", "Nothing to do."),
    Reason.ADOPTED: Explanation(
        "Status was lost; the state was read from the cluster.", "Check that the right version is stable."
    ),
    Reason.RETRIED: Explanation("A rejected revision is tried again from its first step.", "Nothing to do."),
    Reason.APPROVED: Explanation("Somebody approved a step.", "Nothing to do."),
    Reason.PAUSED: Explanation("Somebody paused the rollout.", "`kubectl modelrollout resume NAME`."),
    Reason.RESUMED: Explanation("Somebody resumed the rollout.", "Nothing to do."),
    Reason.COMMAND_REFUSED: Explanation("A command did not fit the state.", "Read its message."),
    Reason.SCALED_DOWN: Explanation("A version that is no longer needed was scaled down.", "Nothing to do."),
    Reason.DRIFT_CORRECTED: Explanation(
        "Values that somebody else changed were put back.", "Change the ModelDeployment instead."
    ),
    Reason.PROMOTED_BY_COMMAND: Explanation(
        "Somebody promoted the candidate without the remaining steps.", "Nothing to do."
    ),
}
