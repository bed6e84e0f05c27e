"""What an analysis says: three answers, never two."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from flipback.assignment import Cohort
from flipback.signals import Measure


class Verdict(StrEnum):
    """PASS is proof of no harm beyond the margin, FAIL is proof of harm."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Action(StrEnum):
    """What a look asks for, the most urgent first.

    FREEZE where the data cannot be trusted, so that nothing moves; ROLL_BACK,
    everybody or the cohorts that are named; PAUSE where people must look; HOLD else.
    """

    FREEZE = "freeze"
    ROLL_BACK = "roll back"
    PAUSE = "pause"
    HOLD = "hold"


class Hoped(StrEnum):
    """What became of a hypothesis: the whole interval beyond it, or short of it."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    CONTRADICTED = "contradicted"


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine verdicts: one FAIL fails, any doubt remains a doubt.

    The empty case is a doubt: no findings is INCONCLUSIVE, never PASS.
    """
    seen = set(verdicts)
    if Verdict.FAIL in seen:
        return Verdict.FAIL
    return Verdict.PASS if seen == {Verdict.PASS} else Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence sequence at one look: valid however often people look.

    Both ends are in the metric's own unit; an end that the evidence does not
    bound is infinite.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """What was seen of both arms.

    Attributes:
        control_n: Observations of control (rate engine: distinct subjects).
        candidate_n: Observations of the candidate.
        control_users: Distinct subjects of control, 0 where they were not counted.
        candidate_users: Distinct subjects of the candidate.
        control_value: Mean or rate of control, None without observations.
        candidate_value: Mean or rate of the candidate, None without observations.
        interval: Confidence sequence of candidate minus control, None if undecidable.
        deff: Design effect by which clustering of subjects inflates the variance.
        strata: How many (epoch, rule, slice) strata entered.
        epochs: Digests of the epochs that entered.
        pairs: Calls that both arms answered, as in shadow traffic.
    """

    control_n: int = 0
    candidate_n: int = 0
    control_users: int = 0
    candidate_users: int = 0
    control_value: float | None = None
    candidate_value: float | None = None
    interval: Interval | None = None
    deff: float = 1.0
    strata: int = 0
    epochs: tuple[str, ...] = ()
    pairs: int = 0

    @property
    def relative_effect(self) -> float | None:
        """Return the difference over the size of control's value, None without one."""
        if self.control_value is None or self.candidate_value is None:
            return None
        if self.control_value == 0:
            return None
        return (self.candidate_value - self.control_value) / abs(self.control_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Arms):
    """What the evidence says of one guardrail in one cohort.

    Attributes:
        place: Index of the guardrail in the plan.
        metric: The guarded metric.
        measure: What of it was weighed: its values, or a measure of them.
        cohort: `attribute=value`, or `EVERYBODY`.
        verdict: FAIL where this guardrail is proven to be broken.
        log_e: Natural logarithm of the e-value against "not worse".
        peak_log_e: Its largest value at any look of this attempt.
        weight: Share of alpha that this test was given.
        log_threshold: What `peak_log_e` must reach for the harm to be attributed to
            this test: log(1 / (weight * alpha)); infinite without a share.
        margin: Relative harm that is tolerated, or None where a limit is guarded.
        limit: That limit, of the candidate alone; None without one.
        engine: Name of the engine that weighed the evidence.
        note: Why nothing can be said, or empty.
        outlook: What would change the verdict, in a sentence.
    """

    place: int = 0
    metric: str
    measure: Measure = Measure.VALUE
    cohort: Cohort
    verdict: Verdict
    log_e: float
    peak_log_e: float
    weight: float
    log_threshold: float = inf
    margin: float | None = None
    limit: float | None = None
    engine: str
    note: str = ""
    outlook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisFinding(Arms):
    """What the evidence says of what the rollout hopes to show.

    Attributes:
        metric: The metric that is hoped to move.
        hoped: The relative effect that is hoped for, negative for a fall.
        verdict: SHOWN where the whole confidence sequence is at least as good as
            hoped, CONTRADICTED where none of it is.
        relative: Confidence sequence of the relative effect, None if undecidable.
        required: Whether promotion waits until it is shown.
        note: Why nothing can be said, or empty.
    """

    metric: str
    hoped: float
    verdict: Hoped
    relative: Interval | None = None
    required: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding(Arms):
    """What one guardrail in one cohort says to leaving a stage.

    Attributes:
        place: Index of the guardrail in the plan.
        metric: The guarded metric.
        measure: What of it was weighed.
        cohort: `attribute=value`, or `EVERYBODY`.
        verdict: PASS where harm beyond the margin is ruled out, FAIL where this
            guardrail is proven to be broken all the same, else INCONCLUSIVE.
        margin: The relative harm to rule out; None where a limit is guarded.
        limit: That limit, of the candidate alone; None without one.
        log_e: Evidence against "worse than the margin", natural logarithm.
        log_threshold: What it must reach: log(1 / alpha), without any correction.
        needs: Candidate exposures that are still missing if the arms are truly
            alike; 0 where it passes, or will once outcomes at hand have matured;
            None where no number of them will do, or none is known.
        note: Why it holds, or empty.
    """

    place: int = 0
    metric: str
    measure: Measure = Measure.VALUE
    cohort: Cohort
    verdict: Verdict
    margin: float | None
    limit: float | None = None
    log_e: float
    log_threshold: float
    needs: int | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether a stage may be left.

    Attributes:
        weight: Percent of subjects in force, None where it is not known.
        next_weight: Percent that is asked for; 100 where the last stage is left.
        verdict: PASS only with proof for each guardrail in each declared cohort but
            those of which a person took the doubt, and no other reason to wait. A
            stage that warms up needs a stable latency instead of that proof.
        findings: One per guardrail and cohort that can block, in the plan's order.
        waits: Other reasons to hold, a sentence each: window, exposures, frozen data,
            a hypothesis that is required and not shown.
        asks: Cohorts that a person may accept, as `undecided = "ask"` allows.
    """

    weight: float | None
    next_weight: float
    verdict: Verdict
    findings: tuple[GateFinding, ...]
    waits: tuple[str, ...] = ()
    asks: tuple[Cohort, ...] = ()
