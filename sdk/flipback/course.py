"""The course of an attempt: what each guardrail said at looks along the way."""

from dataclasses import dataclass

from flipback.assignment import Cohort
from flipback.rollout import Phase
from flipback.signals import Measure
from flipback.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseFinding:
    """One guardrail in one cohort at one look; the words are those of `Finding`."""

    place: int
    metric: str
    measure: Measure
    cohort: Cohort
    verdict: Verdict
    log_e: float
    log_threshold: float
    control_n: int
    candidate_n: int
    control_value: float | None = None
    candidate_value: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePoint:
    """One look at one route.

    Attributes:
        route: The route.
        attempt: Which run of the rollout.
        trip: The trip after which the evidence was observed.
        at: When, Unix seconds.
        phase: What the rollout was doing.
        stage: Index of the stage in force.
        weight: Percent of subjects that the flag gives the candidate, None if unknown.
        log_g: Log of the global e-value.
        log_threshold: What it must reach to roll back.
        control_exposures: Exposures of control, in the aggregate.
        candidate_exposures: Likewise of the candidate.
        findings: The aggregate of each guardrail, and the cohorts that weigh most.
    """

    route: str
    attempt: int
    trip: int
    at: float
    phase: Phase
    stage: int
    weight: float | None
    log_g: float
    log_threshold: float
    control_exposures: int
    candidate_exposures: int
    findings: tuple[CourseFinding, ...] = ()

    @property
    def pairs(self) -> int:
        """Return the calls that both variants answered, of who has most of them."""
        return max((finding.pairs for finding in self.findings), default=0)

    @property
    def proves_harm(self) -> bool:
        """Return whether one guardrail is proven to be broken, or all together are."""
        failed = any(each.verdict is Verdict.FAIL for each in self.findings)
        return failed or self.log_g >= self.log_threshold
