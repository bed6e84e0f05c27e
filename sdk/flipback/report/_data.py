"""What a report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from flipback.assignment import Cohort
from flipback.course import CourseFinding, CoursePoint
from flipback.latch import Latch, scope_of
from flipback.plan import Guardrail, RolloutPlan
from flipback.ports import EntryKind, LedgerEntry
from flipback.report._times import clock_time
from flipback.rollout import By, Phase, RolloutRecord
from flipback.signals import Measure


_ROOM_AT_THE_END = 0.04
_SHORT_S = 6 * 3600.0
_SLACK_S = 2.0  # the look that proves harm ends after its point was made


class FindingKey(NamedTuple):
    """Which guardrail, which measure of its metric, in which cohort."""

    place: int
    measure: Measure
    cohort: Cohort


def key_of(finding: CourseFinding) -> FindingKey:
    """Return what a finding is about."""
    return FindingKey(finding.place, finding.measure, finding.cohort)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that a page tells of one attempt of one route.

    Attributes:
        plan: The plan that the attempt went by.
        attempt: Which run of the rollout.
        latest: The number of the latest attempt.
        phase: What it does now, the latch considered; None of an earlier attempt, or
            where it is not known.
        made_at: When the page was made, with a time zone.
        version: Of flipback.
        record: Where the rollout stands; None of an earlier attempt, or if unknown.
        latch: The route's latch, None if unknown.
        killed_cohorts: Held latches of single cohorts.
        course: What was kept along the way, oldest first.
        last_look: The latest look with all its findings; None if there is none.
        silent: Why nothing can be said of a finding of `last_look`.
        distrust: Why the data cannot be trusted, or have holes, a sentence each.
        excluded: Exposures that were not compared, by reason.
        waits: What leaving the stage still waits for, a sentence each.
        weight: Percent of subjects that the flag gives the candidate now.
        entries: The ledger's entries of this attempt, oldest first.
        problems: What could not be read, a sentence each.
    """

    plan: RolloutPlan
    attempt: int
    latest: int
    phase: Phase | None
    made_at: datetime
    version: str
    record: RolloutRecord | None = None
    latch: Latch | None = None
    killed_cohorts: tuple[Latch, ...] = ()
    course: tuple[CoursePoint, ...] = ()
    last_look: CoursePoint | None = None
    silent: Mapping[FindingKey, str] = field(default_factory=dict[FindingKey, str])
    distrust: tuple[str, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict[str, int])
    waits: tuple[str, ...] = ()
    weight: float | None = None
    entries: tuple[LedgerEntry, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def observed(self) -> tuple[CoursePoint, ...]:
        """Return the points at which there was evidence."""
        return tuple(
            p for p in self.course if p.control_exposures or p.candidate_exposures
        )

    @property
    def findings(self) -> tuple[CourseFinding, ...]:
        """Return the findings to show: those of the look to show."""
        return () if self.shown is None else self.shown.findings

    @property
    def candidate_calls(self) -> int:
        """Return the exposures of the candidate at the look to show."""
        return 0 if self.shown is None else self.shown.candidate_exposures

    @property
    def pairs(self) -> int:
        """Return the calls that both variants answered, at the look to show."""
        return 0 if self.shown is None else self.shown.pairs

    @property
    def shown(self) -> CoursePoint | None:
        """Return the look to show: the one that decided, else the latest."""
        if self.decided is not None:
            return self.decided
        latest = self.observed[-1] if self.observed else None
        return self.last_look or latest

    @property
    def decided(self) -> CoursePoint | None:
        """Return the look that the attempt ended with; None where it goes on."""
        kill = self.last_kill
        if kill is None or self.phase not in {Phase.ROLLED_BACK, None}:
            return None
        kept, last = self.look_before(kill), self.last_look
        undecided = kept is None or not kept.proves_harm
        if undecided and last is not None and last.proves_harm:
            return last
        return kept

    @property
    def last_kill(self) -> Latch | None:
        """Return the kill that this attempt ended with, as the ledger has it."""
        kills = [entry.latch for entry in self.kills if entry.latch is not None]
        if kills:
            return kills[-1]
        return self.latch if self.latch is not None and self.latch.trip else None

    def look_before(self, kill: Latch) -> CoursePoint | None:
        """Return the look that led to a kill, else the last kept one before it.

        The one that led to it is kept once the kill has reached the flag, or not.
        """
        at = when(kill.at)
        until = inf if at is None else at + _SLACK_S
        earlier = [point for point in self.observed if point.at <= until]
        known = earlier[-1] if earlier else None
        if kill.actor != By.EVALUATOR or (known is not None and known.proves_harm):
            return known
        later = self.observed[len(earlier) :]
        proving = (
            point
            for point in later
            if point.proves_harm and (known is None or point.trip == known.trip)
        )
        return next(proving, known)

    @property
    def kills(self) -> tuple[LedgerEntry, ...]:
        """Return the kills of everybody, oldest first; kills of a cohort are others."""
        return tuple(
            entry
            for entry in self.entries
            if entry.kind is EntryKind.KILL and entry.route == self.plan.route
        )

    @property
    def span(self) -> tuple[float, float]:
        """Return the Unix seconds that the page is about, never an empty span."""
        times = [point.at for point in self.course]
        times += [at for entry in self.entries if (at := when(entry.at)) is not None]
        if self.record is not None and self.record.started:
            times.append(self.record.started)
        if self.phase is not None and self.phase.is_open:
            times.append(self.made_at.timestamp())
        if not times:
            return (self.made_at.timestamp() - 1.0, self.made_at.timestamp())
        first, last = min(times), max(times)
        return (first, last + max(1.0, (last - first) * _ROOM_AT_THE_END))

    def time(self, at: float) -> str:
        """Return a time for people, to the second where the attempt was short."""
        start, end = self.span
        return clock_time(at, seconds=end - start < _SHORT_S)

    def guardrail(self, place: int) -> Guardrail | None:
        """Return a guardrail; None where the plan has lost it since."""
        rails = self.plan.guardrails
        return rails[place] if 0 <= place < len(rails) else None


def when(text: str) -> float | None:
    """Return Unix seconds of a time that was written for people, None if it is none."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def cohort_of(entry: LedgerEntry) -> Cohort:
    """Return the cohort that an entry is about, everybody mostly."""
    return scope_of(entry.route).cohort
