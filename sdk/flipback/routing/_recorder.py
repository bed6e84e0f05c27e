"""Count exposures and outcomes in memory until a thread carries them away."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Assignment, Role
from flipback.booking import Booking
from flipback.exposure import (
    BUCKETS,
    Batch,
    Cell,
    CellKey,
    Entry,
    Epoch,
    LateOutcome,
)
from flipback.histogram import Histogram, Thresholds
from flipback.plan import LATENCY, MetricKind, RolloutPlan
from flipback.ports import Clock


MAX_LATE = 100_000
MAX_JOURNAL = 65_536
_EARLY = 100
_NOTHING_FROZEN: Thresholds = {}


class Paired(NamedTuple):
    """Outcomes of one call that control served and the candidate answered unseen.

    Attributes:
        control: Outcomes of control's answer.
        candidate: Those of the candidate's.
        warm_at: When the candidate answered, Unix seconds, where its latency is to
            become stable; else None.
    """

    control: Mapping[str, float]
    candidate: Mapping[str, float]
    warm_at: float | None = None


_Line = tuple[str, Assignment, Mapping[str, float] | Paired | None]
"""Route, assignment and outcomes, which are None where the exposure is meant."""

_Place = tuple[str, int]
_Alike = tuple[str, str, str, str, int, tuple[str, ...]]


class _Group:
    """What was observed of everybody who was served alike, cohorts included.

    Cohorts are told apart only when the batch is made up, so a call costs one
    addition per signal however many cohorts its subject is in.
    """

    __slots__ = (
        "_distributed",
        "booking",
        "cells",
        "histograms",
        "subjects",
        "thresholds",
    )

    def __init__(
        self, booking: Booking, thresholds: Thresholds, *, is_control: bool
    ) -> None:
        self.booking = booking
        self.thresholds = thresholds
        self._distributed = booking.freezes if is_control else frozenset[str]()
        self.cells: dict[_Place, Cell] = {}
        self.subjects: dict[_Place, set[int]] = {}
        self.histograms: dict[str, Histogram] = {}

    def add(self, entries: Iterable[Entry], subject: int) -> None:
        bucket = subject % BUCKETS
        for metric, piece, value, counts in entries:
            place = metric, piece
            cell = self.cells.get(place)
            if cell is None:
                cell = self.cells[place] = Cell.starting_at(value)
            cell.add(bucket, value)
            if counts:
                self.subjects.setdefault(place, set()).add(subject)

    def settle(
        self, assignment: Assignment, outcomes: Mapping[str, float], *, now: float
    ) -> list[str]:
        """Add the outcomes of one exposure; return why parts of them are left out."""
        left_out: list[str] = []
        for metric, value in outcomes.items():
            entries, excluded = self.booking.outcome(
                metric, value, at=assignment.at, now=now, thresholds=self.thresholds
            )
            self.add(entries, assignment.subject)
            left_out += excluded
            self.distribute(metric, value)
        return left_out

    def distribute(self, metric: str, value: float) -> None:
        """Count a value of control's where its percentiles are to be frozen."""
        if metric in self._distributed:
            self.histograms.setdefault(metric, Histogram()).add(value)


class Recorder:
    """What this process observed since the last flush.

    A call appends to a journal, which takes no lock; the flushing thread folds the
    journal into cells. Memory is bounded by the number of cells, not of calls,
    except for the journal (`MAX_JOURNAL`, then the caller folds it), late outcomes
    (`MAX_LATE`, then they are refused) and distinct subjects. No lock is held
    during I/O.

    Attributes:
        bookings: What is kept of each route's observations.
    """

    def __init__(
        self,
        *,
        writer: str,
        plans: Mapping[str, RolloutPlan],
        due: Callable[[int], None],
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._plans = plans
        self.bookings = {route: Booking(plan) for route, plan in plans.items()}
        self._due = due
        self._clock = clock
        self._epochs: dict[str, Epoch] = {}
        self.after_fork(writer)

    def after_fork(self, writer: str) -> None:
        """Start empty under a new name: what the parent saw, the parent flushes."""
        self._writer = writer
        self._folding = threading.Lock()
        self._counting = threading.Lock()
        self._sequence = 0
        self._journal: deque[_Line] = deque()
        self._groups: dict[_Alike, _Group] = {}
        self._late: list[LateOutcome] = []
        self._announced: set[str] = set()
        self._excluded: dict[tuple[str, str], int] = {}
        self.candidate_exposures: dict[str, int] = {}
        self._early = 0

    def opened(self, epoch: Epoch) -> None:
        """Remember an epoch; it goes to the store with its first cells."""
        self._epochs[epoch.digest] = epoch

    def announce(self, digest: str) -> None:
        """Send an epoch to the store with the next batch, with cells or without."""
        with self._counting:
            self._announced.add(digest)

    def thresholds(self, epoch: str) -> Thresholds:
        """Return the percentiles that were frozen before an epoch."""
        known = self._epochs.get(epoch)
        return _NOTHING_FROZEN if known is None else known.thresholds

    def distributes(self, route: str, variant: str, metric: str) -> bool:
        """Return whether values of this metric belong to a histogram of control."""
        is_control = variant == self._plans[route].control
        return is_control and metric in self.bookings[route].freezes

    def expose(self, route: str, assignment: Assignment) -> None:
        """Count one exposure, or one exclusion where nothing was randomised."""
        role = assignment.role
        if not assignment.randomized or role is Role.OTHER:
            self.exclude(route, _why_excluded(assignment))
            return
        self._journal.append((route, assignment, None))
        if len(self._journal) >= MAX_JOURNAL:
            self.fold()
        if role is Role.CANDIDATE:
            with self._counting:
                count = self.candidate_exposures.get(route, 0) + 1
                self.candidate_exposures[route] = count
            self._due(count)
        elif self._early < _EARLY:
            # A candidate may end the process at any call; control is known by then.
            self._early += 1
            self._due(self._early)

    def settle(
        self, route: str, assignment: Assignment, outcomes: Mapping[str, float]
    ) -> None:
        """Book the outcomes of one exposure, which must not change any more."""
        if assignment.randomized and assignment.role is not Role.OTHER:
            self._journal.append((route, assignment, outcomes))

    def pair(self, route: str, assignment: Assignment, paired: Paired) -> None:
        """Book a call that both arms answered; it is no exposure of either.

        Args:
            route: The route that was called.
            assignment: Control's, with the epoch that the pair belongs to.
            paired: What both answers are worth, which must not change any more.
        """
        self._journal.append((route, assignment, paired))
        if len(self._journal) >= MAX_JOURNAL:
            self.fold()

    def fold(self) -> None:
        """Turn the journal into cells; for the thread that flushes."""
        with self._folding:
            self._fold()

    def late(self, outcome: LateOutcome) -> bool:
        """Keep an outcome that came by receipt; False if too many wait already."""
        with self._counting:
            if len(self._late) >= MAX_LATE:
                return False
            self._late.append(outcome)
        return True

    def exclude(self, route: str, reason: str) -> None:
        """Count an exposure or an outcome that is not compared."""
        with self._counting:
            key = (route, reason)
            self._excluded[key] = self._excluded.get(key, 0) + 1

    def drain(self) -> Batch | None:
        """Take everything counted so far; None if there is nothing."""
        with self._folding:
            self._fold()
            groups, self._groups = self._groups, {}
            with self._counting:
                late, self._late = self._late, []
                excluded, self._excluded = self._excluded, {}
                announced, self._announced = self._announced, set()
            if not (groups or late or excluded or announced):
                return None
            self._sequence += 1
            batch = Batch(writer=self._writer, sequence=self._sequence)
        batch.late.extend(late)
        batch.excluded.update(excluded)
        for alike, group in groups.items():
            _unfold(batch, alike, group)
        touched = announced | {key.epoch for key in batch.cells}
        touched.update(key.epoch for outcome in late for key, _ in outcome.entries)
        batch.epochs.update({e: self._epochs[e] for e in touched & self._epochs.keys()})
        return batch

    def _fold(self) -> None:
        """Book what is in the journal now; calls append behind it meanwhile."""
        journal, now = self._journal, self._clock.now().timestamp()
        for _ in range(len(journal)):
            route, assignment, outcomes = journal.popleft()
            if isinstance(outcomes, Paired):
                self._fold_pair(route, assignment, outcomes)
                continue
            group = self._group(route, assignment)
            if outcomes is None:
                entries = group.booking.exposure(assignment.at)
                group.add(entries, assignment.subject)
            else:
                for reason in group.settle(assignment, outcomes, now=now):
                    self.exclude(route, reason)

    def _fold_pair(self, route: str, assignment: Assignment, paired: Paired) -> None:
        """Book each metric that both answers have, and how warm the candidate is.

        While it is cold its latencies say how warm it is, and not what it is like.
        """
        booking, subject = self.bookings[route], assignment.subject
        plan = self._plans[route]
        other = assignment._replace(variant=plan.candidate)
        control, candidate = self._group(route, assignment), self._group(route, other)
        for metric, value in paired.control.items():
            if metric not in paired.candidate:
                continue
            control.distribute(metric, value)
            if paired.warm_at is not None and _is_latency(plan, metric):
                continue
            booked = booking.pair(
                metric,
                value,
                paired.candidate[metric],
                at=assignment.at,
                thresholds=control.thresholds,
            )
            control.add(booked.control, subject)
            candidate.add(booked.candidate, subject)
        latency_s = paired.candidate.get(LATENCY)
        if paired.warm_at is not None and latency_s is not None:
            everybody = self._group(route, other._replace(cohorts=()))
            everybody.add(booking.warm(latency_s, at=paired.warm_at), subject)

    def _group(self, route: str, assignment: Assignment) -> _Group:
        alike = (
            route,
            assignment.epoch,
            assignment.rule or "",
            assignment.variant,
            assignment.attempt,
            assignment.cohorts,
        )
        group = self._groups.get(alike)
        if group is None:
            group = self._groups[alike] = _Group(
                self.bookings[route],
                self.thresholds(assignment.epoch),
                is_control=assignment.variant == self._plans[route].control,
            )
        return group


def _why_excluded(assignment: Assignment) -> str:
    return "other_variant" if assignment.randomized else assignment.reason.value


def _unfold(batch: Batch, alike: _Alike, group: _Group) -> None:
    """Add a group to the aggregate and to each of its cohorts."""
    route, epoch, rule, variant, attempt, cohorts = alike
    where = route, attempt, epoch, rule
    for cohort in (EVERYBODY, *cohorts):
        for (metric, piece), cell in group.cells.items():
            key = CellKey(*where, piece, metric, cohort, variant)
            batch.cells.setdefault(key, Cell(cell.origin)).merge(cell)
        for (metric, piece), subjects in group.subjects.items():
            key = CellKey(*where, piece, metric, cohort, variant)
            batch.subjects.setdefault(key, set()).update(subjects)
    for metric, histogram in group.histograms.items():
        key = CellKey(*where, 0, metric, EVERYBODY, variant)
        batch.histograms.setdefault(key, Histogram()).merge(histogram)


def _is_latency(plan: RolloutPlan, metric: str) -> bool:
    return metric == LATENCY or plan.kind_of(metric) is MetricKind.LATENCY
