"""Evidence of one rollout in memory: for logs that are replayed, and simulations."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flipback.assignment import EVERYBODY, Cohort
from flipback.booking import Booking
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Entry, Evidence
from flipback.histogram import Histogram, Thresholds
from flipback.plan import RolloutPlan
from flipback.signals import is_exposure


MAX_SUBJECTS = 100_000
"""Hashes of exposed subjects that are kept, and of those with an event; of more, a
sample."""

_HASHES = 1 << 64
_ATTEMPT = 1
_MOST_SLOTS = 20_000
_NOTHING_FROZEN: Thresholds = {}


class Seen(NamedTuple):
    """An exposure, as much as outcomes need to find their cells.

    Attributes:
        variant: Who served.
        subject: Hash of the subject, 64 bits; its bucket is the remainder by 64.
        cohorts: Its declared cohorts, without the aggregate.
        epoch: Name of the epoch, as `Tally.expose` gave it.
        rule: The rule that split, empty where it is not known.
        at: When it was decided, Unix seconds.
    """

    variant: str
    subject: int
    cohorts: tuple[Cohort, ...] = ()
    epoch: str = ""
    rule: str = ""
    at: float = 0.0


class _Sample:
    """Distinct subjects by key; of too many those with the smallest hashes.

    Attributes:
        counts: How many are kept, by key.
    """

    def __init__(self, most: int) -> None:
        self.counts: dict[CellKey, int] = {}
        self._most = most
        self._limit = _HASHES
        self._kept = 0
        self._known: dict[CellKey, set[int]] = {}

    @property
    def share(self) -> float:
        """Return which share of all subjects is kept."""
        return self._limit / _HASHES

    def add(self, keys: Iterable[CellKey], subject: int) -> None:
        """Count a subject once under each key."""
        if subject >= self._limit:
            return
        for key in keys:
            known = self._known.setdefault(key, set())
            if subject not in known:
                known.add(subject)
                self.counts[key] = len(known)
                self._kept += 1
        while self._kept > self._most:
            self._halve()

    def _halve(self) -> None:
        """Halve the range of hashes that are kept, the same for all keys."""
        self._limit //= 2
        self._kept = 0
        for key, known in self._known.items():
            known.difference_update([s for s in known if s >= self._limit])
            self.counts[key] = len(known)
            self._kept += len(known)


class _Slot(NamedTuple):
    """Where to book one signal of everybody who is alike: a key and cell per cohort."""

    keys: tuple[CellKey, ...]
    cells: tuple[Cell, ...]
    sample: _Sample


_Place = tuple[str, tuple[Cohort, ...], str, str]
"""Who is alike: variant, cohorts, epoch and rule."""


class Tally:
    """Adds up exposures, outcomes and pairs of one plan, as a store would.

    Memory is bounded by the number of cells and by `MAX_SUBJECTS`, not by how much
    is added.
    """

    def __init__(self, plan: RolloutPlan, *, most_subjects: int = MAX_SUBJECTS) -> None:
        self._plan = plan
        self._booking = Booking(plan)
        self._exposed = _Sample(most_subjects)
        self._events = _Sample(most_subjects)
        self._slots: dict[_Place, dict[tuple[str, int], _Slot]] = {}
        self._open_slots = 0
        self._cells: dict[CellKey, Cell] = {}
        self._excluded: dict[str, int] = {}
        self._histograms = {name: Histogram() for name in self._booking.freezes}
        self._thresholds: Thresholds = _NOTHING_FROZEN
        self._frozen_in: dict[str, Thresholds] = {}
        self._shares: dict[tuple[str, str], float] = {}
        self._paired_in: set[tuple[str, str]] = set()

    @property
    def evidence(self) -> Evidence:
        """Return what was added so far; a view of the cells, which go on growing."""
        return Evidence(
            cells=self._cells,
            subjects={**self._exposed.counts, **self._events.counts},
            excluded=self._excluded,
            sampled=self._exposed.share,
            events_sampled=self._events.share,
            shares=self._shares,
            histograms=self._histograms,
        )

    def freeze(self) -> bool:
        """Freeze the percentiles that control suffices for; epochs begin anew then.

        Called at each look, as a running application does. Returns whether
        something was frozen.
        """
        fresh = {
            name: frozen
            for name, histogram in self._histograms.items()
            if name not in self._thresholds
            and (frozen := histogram.frozen()) is not None
        }
        if fresh:
            self._thresholds = {**self._thresholds, **fresh}
        return bool(fresh)

    def expose(self, seen: Seen, *, share: float | None = None) -> Seen:
        """Count one exposure; return it with the epoch that its outcomes belong to.

        Args:
            seen: The exposure, its epoch named as the log or simulation names it.
            share: The candidate's share of subjects in force, None if not known.
        """
        seen = self.placed(seen)
        if share is not None and (seen.epoch, seen.rule) not in self._paired_in:
            self._shares.setdefault((seen.epoch, seen.rule), share)
        self._add(seen, self._booking.exposure(seen.at))
        return seen

    def placed(self, seen: Seen) -> Seen:
        """Return an exposure with the epoch it belongs to now, and count nothing."""
        if not self._thresholds:
            return seen
        seen = seen._replace(epoch=f"{seen.epoch}*{len(self._thresholds)}")
        self._frozen_in.setdefault(seen.epoch, self._thresholds)
        return seen

    def outcome(
        self, seen: Seen, metric: str, value: float, *, now: float | None = None
    ) -> None:
        """Add one outcome of an exposure.

        Args:
            seen: What `expose` returned.
            metric: Its name; one that the plan does not know is ignored.
            value: Finite, and at most `MAX_VALUE` in size.
            now: When it came, Unix seconds; with the exposure if not given.
        """
        frozen = self._frozen_in.get(seen.epoch, _NOTHING_FROZEN)
        came = seen.at if now is None else now
        booked = self._booking.outcome(
            metric, value, at=seen.at, now=came, thresholds=frozen
        )
        self._add(seen, booked.entries)
        for reason in booked.excluded:
            self.exclude(reason)
        if seen.variant == self._plan.control and metric in self._histograms:
            self._histograms[metric].add(value)

    def pair(self, seen: Seen, metric: str, control: float, candidate: float) -> None:
        """Add a metric of one call that both arms answered, whoever served it.

        Such a call is no exposure, as its values would count twice. The subjects who
        are left of its epoch are then not split as set, so their split is not weighed.

        Args:
            seen: What `placed` returned.
            metric: Its name.
            control: What control's answer is worth, finite.
            candidate: What the candidate's is worth.
        """
        self._paired_in.add((seen.epoch, seen.rule))
        self._shares.pop((seen.epoch, seen.rule), None)
        frozen = self._frozen_in.get(seen.epoch, _NOTHING_FROZEN)
        booked = self._booking.pair(
            metric, control, candidate, at=seen.at, thresholds=frozen
        )
        self._add(seen._replace(variant=self._plan.control), booked.control)
        self._add(seen._replace(variant=self._plan.candidate), booked.candidate)
        if metric in self._histograms:
            self._histograms[metric].add(control)

    def exclude(self, reason: str) -> None:
        """Count something that is not compared."""
        self._excluded[reason] = self._excluded.get(reason, 0) + 1

    def _add(self, seen: Seen, entries: Iterable[Entry]) -> None:
        variant, subject, cohorts, epoch, rule, _ = seen
        bucket = subject % BUCKETS
        slots = self._slots.get((variant, cohorts, epoch, rule))
        if slots is None:
            slots = self._slots[variant, cohorts, epoch, rule] = {}
        for name, piece, value, counts in entries:
            slot = slots.get((name, piece))
            if slot is None:
                slot = slots[name, piece] = self._slot(seen, name, piece, value)
            for cell in slot.cells:
                cell.add(bucket, value)
            if counts:
                slot.sample.add(slot.keys, subject)
        if self._open_slots > _MOST_SLOTS:
            self._slots.clear()
            self._open_slots = 0

    def _slot(self, seen: Seen, name: str, piece: int, value: float) -> "_Slot":
        self._open_slots += 1
        keys = tuple(
            self._key(seen, name, piece, cohort)
            for cohort in (EVERYBODY, *seen.cohorts)
        )
        for key in keys:
            if key not in self._cells:
                self._cells[key] = Cell.starting_at(value)
        sample = self._exposed if is_exposure(name) else self._events
        return _Slot(keys, tuple(self._cells[key] for key in keys), sample)

    def _key(self, seen: Seen, name: str, piece: int, cohort: Cohort) -> CellKey:
        return CellKey(
            self._plan.route,
            _ATTEMPT,
            seen.epoch,
            seen.rule,
            piece,
            name,
            cohort,
            seen.variant,
        )


def merged(parts: Iterable[Mapping[CellKey, Cell]]) -> dict[CellKey, Cell]:
    """Return cells of several tallies added up, whatever the order."""
    total: dict[CellKey, Cell] = {}
    for cells in parts:
        for key, cell in cells.items():
            total.setdefault(key, Cell(cell.origin)).merge(cell)
    return total


__all__ = ["EXPOSURE", "MAX_SUBJECTS", "Seen", "Tally", "merged"]
