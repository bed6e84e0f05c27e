"""Keep the course of each attempt, for reports: often at first, then ever more rarely.

A point is kept at an attempt's first look and whenever phase, stage or trip change or
harm is proven for the first time. Between those the time to the next one grows with the
age of the attempt, so that an hour and two months both make a few hundred points.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flipback.analysis import Analysis, Renewal, analyze
from flipback.assignment import EVERYBODY, Cohort
from flipback.course import CourseFinding, CoursePoint
from flipback.exposure import EXPOSURE, Evidence
from flipback.plan import RolloutPlan
from flipback.ports import Clock, CourseBook
from flipback.rollout import Phase, RolloutRecord
from flipback.routing import Faults
from flipback.signals import Measure
from flipback.verdict import Finding, Verdict


MOST_FINDINGS = 60
SHORTEST_S = 60.0
SHARE_OF_AGE = 1 / 200
NOT_KEPT = "course not kept; reports will have a gap"


class Spot(NamedTuple):
    """Where a rollout was when somebody looked; the words are those of a point."""

    attempt: int
    trip: int
    phase: Phase
    stage: int
    weight: float | None
    at: float

    def is_like(self, other: "Spot") -> bool:
        """Return whether nothing has happened between the two but time."""
        return self._replace(weight=None, at=0.0) == other._replace(weight=None, at=0.0)


_Proven = tuple[int, Measure, Cohort]
"""A guardrail, the measure and the cohort in which it is proven to be broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    spot: Spot
    proven: frozenset[_Proven]
    began: float


class CourseKeeper:
    """Keeps points of all routes; for the leader, so that each is kept once.

    Args:
        book: Where the points are kept.
        clock: Tells when.
        faults: Where it is noted that a point could not be kept.
    """

    def __init__(self, book: CourseBook, clock: Clock, faults: Faults) -> None:
        self._book = book
        self._clock = clock
        self._faults = faults
        self._kept: dict[str, _Kept] = {}

    def keep(  # noqa: PLR0913 - each a part of a look
        self,
        plan: RolloutPlan,
        record: RolloutRecord,
        phase: Phase,
        weight: float | None,
        evidence: Evidence,
        analysis: Analysis,
        *,
        trip: int | None = None,
        without: Collection[Cohort] = (),
    ) -> None:
        """Keep this look if one is due; never raises.

        Args:
            plan: The plan that the attempt goes by.
            record: Where the rollout stands.
            phase: What it does, the latch considered.
            weight: Percent of subjects that the flag gives the candidate.
            evidence: What was looked at.
            analysis: What was found; without intervals it is made once more.
            trip: The trip after which the evidence was observed, the record's if
                not given. Routes that people ramp by hand have it in the latch alone.
            without: Cohorts that were left out of the analysis.
        """
        try:
            spot = Spot(
                attempt=record.attempt,
                trip=record.trip if trip is None else trip,
                phase=phase,
                stage=record.stage,
                weight=weight,
                at=self._clock.now().timestamp(),
            )
            self._keep(plan, record, spot, evidence, analysis, without)
        except Exception as error:  # noqa: BLE001 - a report is worth no look
            self._faults.note(plan.route, NOT_KEPT, error)

    def _keep(
        self,
        plan: RolloutPlan,
        record: RolloutRecord,
        spot: Spot,
        evidence: Evidence,
        analysis: Analysis,
        without: Collection[Cohort],
    ) -> None:
        proven = _proven(analysis)
        kept = self._kept.get(plan.route) or self._known(plan.route, spot.attempt)
        if not _is_due(kept, spot, proven):
            return
        renewal = Renewal.of(record)
        shown = _shown(plan, evidence, analysis, spot.at, without, renewal)
        self._book.keep(look_as_point(plan, spot, evidence, shown, most=MOST_FINDINGS))
        began = kept.began if kept and kept.spot.attempt == spot.attempt else spot.at
        if kept is not None and kept.spot.is_like(spot):
            proven |= kept.proven
        self._kept[plan.route] = _Kept(
            spot=spot, proven=proven, began=record.started or began
        )

    def _known(self, route: str, attempt: int) -> _Kept | None:
        """Return what another leader, or this one before a restart, has kept last."""
        course = self._book.course(route, attempt=attempt)
        if not course:
            return None
        last = course[-1]
        return _Kept(
            spot=Spot(
                attempt=last.attempt,
                trip=last.trip,
                phase=last.phase,
                stage=last.stage,
                weight=last.weight,
                at=last.at,
            ),
            proven=frozenset(
                (each.place, each.measure, each.cohort)
                for each in last.findings
                if each.verdict is Verdict.FAIL
            ),
            began=course[0].at,
        )


def look_as_point(
    plan: RolloutPlan,
    spot: Spot,
    evidence: Evidence,
    analysis: Analysis,
    *,
    most: int | None = None,
) -> CoursePoint:
    """Return one look as a point.

    Args:
        plan: The plan that was looked by.
        spot: Where the rollout was.
        evidence: What was looked at.
        analysis: What was found.
        most: How many findings to keep, those that weigh most; all, if not given.
    """
    findings = _weightiest(analysis.findings, most)
    return CoursePoint(
        route=plan.route,
        attempt=spot.attempt,
        trip=spot.trip,
        at=spot.at,
        phase=spot.phase,
        stage=spot.stage,
        weight=spot.weight,
        log_g=analysis.log_g,
        log_threshold=analysis.log_threshold,
        control_exposures=_exposures(evidence, plan.control),
        candidate_exposures=_exposures(evidence, plan.candidate),
        findings=tuple(map(_brief, findings)),
    )


def _is_due(kept: _Kept | None, spot: Spot, proven: frozenset[_Proven]) -> bool:
    if kept is None or not kept.spot.is_like(spot) or proven - kept.proven:
        return True
    if spot.phase is Phase.ROLLED_BACK:
        return False  # nobody sees the candidate, so there is nothing to add
    wait = max(SHORTEST_S, (spot.at - kept.began) * SHARE_OF_AGE)
    return not 0 <= spot.at - kept.spot.at < wait  # a clock may have been put back


def _proven(analysis: Analysis) -> frozenset[_Proven]:
    """Return what is broken; the likeliest, where only all together prove harm."""
    found = [each for each in analysis.findings if each.verdict is Verdict.FAIL]
    if analysis.verdict is Verdict.FAIL and analysis.suspect is not None:
        found = found or [analysis.suspect]
    return frozenset((each.place, each.measure, each.cohort) for each in found)


def _shown(
    plan: RolloutPlan,
    evidence: Evidence,
    analysis: Analysis,
    now: float,
    without: Collection[Cohort],
    renewal: Renewal | None,
) -> Analysis:
    """Return the analysis with intervals, which looks that nobody sees leave out."""
    if any(finding.interval is not None for finding in analysis.findings):
        return analysis
    return analyze(
        plan,
        evidence,
        peaks=analysis.peaks,
        now=now,
        without=without,
        renewal=renewal,
    )


def _weightiest(findings: Sequence[Finding], most: int | None) -> Sequence[Finding]:
    """Return the aggregates, then the cohorts that weigh most, in the plan's order."""
    ranked = sorted(range(len(findings)), key=lambda place: _rank(findings[place]))
    return [findings[place] for place in sorted(ranked[:most])]


def _rank(finding: Finding) -> tuple[bool, bool, float]:
    is_cohort = finding.cohort != EVERYBODY
    return is_cohort, finding.verdict is not Verdict.FAIL, -finding.log_e


def _brief(finding: Finding) -> CourseFinding:
    interval = finding.interval
    return CourseFinding(
        place=finding.place,
        metric=finding.metric,
        measure=finding.measure,
        cohort=finding.cohort,
        verdict=finding.verdict,
        log_e=finding.log_e,
        log_threshold=finding.log_threshold,
        control_n=finding.control_n,
        candidate_n=finding.candidate_n,
        control_value=finding.control_value,
        candidate_value=finding.candidate_value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        pairs=finding.pairs,
    )


def _exposures(evidence: Evidence, variant: str) -> int:
    return sum(
        cell.total_n
        for key, cell in evidence.cells.items()
        if (key.metric, key.cohort, key.variant) == (EXPOSURE, EVERYBODY, variant)
    )
