"""Count exposures and outcomes in memory until a thread carries them away."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from flipback.assignment import EVERYBODY, Assignment, Role
from flipback.exposure import (
    BUCKETS,
    EXPOSURE,
    Batch,
    Cell,
    CellKey,
    Epoch,
    LateOutcome,
)
from flipback.plan import RolloutPlan


MAX_LATE = 100_000
MAX_JOURNAL = 65_536
_EXPOSED: Mapping[str, float] = {EXPOSURE: 1.0}
_Entry = tuple[str, Assignment, Mapping[str, float]]
_GroupKey = tuple[str, str, str, str, int, tuple[str, ...]]


class _Group:
    """What was observed of everybody who was served alike, cohorts included.

    Cohorts are told apart only when the batch is made up, so a call costs one
    addition per metric however many cohorts its subject is in.
    """

    __slots__ = ("cells", "subjects")

    def __init__(self) -> None:
        self.cells: dict[str, Cell] = {}
        self.subjects: dict[str, set[int]] = {}

    def add(self, metric: str, bucket: int, value: float) -> None:
        cell = self.cells.get(metric)
        if cell is None:
            cell = self.cells[metric] = Cell.starting_at(value)
        cell.add(bucket, value)

    def met(self, metric: str, subject: int) -> None:
        self.subjects.setdefault(metric, set()).add(subject)


class Recorder:
    """What this process observed since the last flush.

    A call appends to a journal, which takes no lock; the flushing thread folds the
    journal into cells. Memory is bounded by the number of cells, not of calls,
    except for the journal (`MAX_JOURNAL`, then the caller folds it), late outcomes
    (`MAX_LATE`, then they are refused) and distinct subjects. No lock is held
    during I/O.
    """

    def __init__(
        self,
        *,
        writer: str,
        plans: Mapping[str, RolloutPlan],
        due: Callable[[int], None],
    ) -> None:
        self._writer = writer
        self._events = {route: plan.events for route, plan in plans.items()}
        self._due = due
        self._epochs: dict[str, Epoch] = {}
        self.after_fork(writer)

    def after_fork(self, writer: str) -> None:
        """Start empty under a new name: what the parent saw, the parent flushes."""
        self._writer = writer
        self._folding = threading.Lock()
        self._counting = threading.Lock()
        self._sequence = 0
        self._journal: deque[_Entry] = deque()
        self._groups: dict[_GroupKey, _Group] = {}
        self._late: list[LateOutcome] = []
        self._excluded: dict[tuple[str, str], int] = {}
        self.candidate_exposures: dict[str, int] = {}

    def opened(self, epoch: Epoch) -> None:
        """Remember an epoch; it goes to the store with its first cells."""
        self._epochs[epoch.digest] = epoch

    def expose(self, route: str, assignment: Assignment) -> None:
        """Count one exposure, or one exclusion where nothing was randomised."""
        role = assignment.role
        if not assignment.randomized or role is Role.OTHER:
            self.exclude(route, _why_excluded(assignment))
            return
        self._journal.append((route, assignment, _EXPOSED))
        if len(self._journal) >= MAX_JOURNAL:
            self.fold()
        if role is Role.CANDIDATE:
            with self._counting:
                count = self.candidate_exposures.get(route, 0) + 1
                self.candidate_exposures[route] = count
            self._due(count)

    def settle(
        self, route: str, assignment: Assignment, outcomes: Mapping[str, float]
    ) -> None:
        """Book the outcomes of one exposure, which must not change any more."""
        if assignment.randomized and assignment.role is not Role.OTHER:
            self._journal.append((route, assignment, outcomes))

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
        """Count an exposure that is not compared."""
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
            if not (groups or late or excluded):
                return None
            self._sequence += 1
            batch = Batch(writer=self._writer, sequence=self._sequence)
        batch.late.extend(late)
        batch.excluded.update(excluded)
        for key, group in groups.items():
            _unfold(batch, key, group)
        touched = {key.epoch for key in batch.cells}
        touched.update(key.epoch for outcome in late for key in outcome.keys)
        batch.epochs.update({e: self._epochs[e] for e in touched & self._epochs.keys()})
        return batch

    def _fold(self) -> None:
        """Book what is in the journal now; calls append behind it meanwhile."""
        journal = self._journal
        for _ in range(len(journal)):
            route, assignment, outcomes = journal.popleft()
            group = self._group(route, assignment)
            events = self._events[route]
            subject = assignment.subject
            for metric, value in outcomes.items():
                group.add(metric, subject % BUCKETS, value)
                if value and (metric in events or (metric == EXPOSURE and events)):
                    group.met(metric, subject)

    def _group(self, route: str, assignment: Assignment) -> _Group:
        key = (
            route,
            assignment.epoch,
            assignment.rule or "",
            assignment.variant,
            assignment.attempt,
            assignment.cohorts,
        )
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        return group


def _why_excluded(assignment: Assignment) -> str:
    return "other_variant" if assignment.randomized else assignment.reason.value


def _unfold(batch: Batch, key: _GroupKey, group: _Group) -> None:
    """Add a group to the aggregate and to each of its cohorts."""
    route, epoch, rule, variant, attempt, cohorts = key
    for cohort in (EVERYBODY, *cohorts):
        for metric, cell in group.cells.items():
            where = CellKey(route, attempt, epoch, rule, 0, metric, cohort, variant)
            batch.cells.setdefault(where, Cell(cell.origin)).merge(cell)
        for metric, subjects in group.subjects.items():
            where = CellKey(route, attempt, epoch, rule, 0, metric, cohort, variant)
            batch.subjects.setdefault(where, set()).update(subjects)
