"""What an analysis says: three answers, never two."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from flipback.assignment import Cohort


class Verdict(StrEnum):
    """PASS is proof of no harm beyond the margin, FAIL is proof of harm."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


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
class Finding:
    """What the evidence says of one guardrail in one cohort.

    Attributes:
        metric: The guarded metric.
        cohort: `attribute=value`, or `EVERYBODY`.
        verdict: FAIL where this guardrail is proven to be broken.
        log_e: Natural logarithm of the e-value against "not worse".
        peak_log_e: Its largest value at any look of this attempt.
        weight: Share of alpha that this test was given.
        control_n: Observations of control (rate engine: distinct subjects).
        candidate_n: Observations of the candidate.
        control_value: Mean or rate of control, None without observations.
        candidate_value: Mean or rate of the candidate, None without observations.
        interval: Confidence sequence of candidate minus control, None if undecidable.
        deff: Design effect by which clustering of subjects inflates the variance.
        strata: How many (epoch, rule) strata entered.
        engine: Name of the engine that weighed the evidence.
        note: Why nothing can be said, or empty.
    """

    metric: str
    cohort: Cohort
    verdict: Verdict
    log_e: float
    peak_log_e: float
    weight: float
    control_n: int
    candidate_n: int
    control_value: float | None
    candidate_value: float | None
    interval: Interval | None
    deff: float
    strata: int
    engine: str
    note: str = ""

    @property
    def relative_effect(self) -> float | None:
        """Return (candidate - control) / control, None where that has no meaning."""
        if self.control_value is None or self.candidate_value is None:
            return None
        if self.control_value == 0:
            return None
        return self.candidate_value / self.control_value - 1
