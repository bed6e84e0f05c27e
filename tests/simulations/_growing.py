"""Evidence as the store would hand it out at each look, added up in arrays.

The sums are those that `flipback.tally` would come to, request by request; a test
compares them.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tests.simulations._traffic import Flags, Floats, Hashes, Ints, Looks, Requests

from flipback.assignment import EVERYBODY
from flipback.booking import signals_of
from flipback.exposure import BUCKETS, EXPOSURE, Cell, CellKey, Evidence
from flipback.histogram import Threshold
from flipback.plan import MetricKind, RolloutPlan
from flipback.signals import Measure, Signal


Place = tuple[str, str, int]
"""Epoch, rule and slice."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is added to the cells of one signal, in the order of looks.

    Attributes:
        name: `Signal.name`.
        look: Number of the first look that sees it.
        place: Index into `places`.
        served: Whether it is the candidate's.
        cohort: Index of the cohort.
        bucket: Bucket of the subject.
        value: What is added.
        fresh: Whether the subject is to be counted, and was not before in this place.
        places: Where cells are.
    """

    name: str
    look: Ints
    place: Ints
    served: Flags
    cohort: Ints
    bucket: Ints
    value: Floats
    fresh: Flags
    places: tuple[Place, ...]


def rows_of(plan: RolloutPlan, requests: Requests, looks: Looks) -> tuple[Rows, ...]:
    """Return everything that the plan keeps of these requests."""
    signals = [s for name in plan.judged for s in signals_of(plan, name)]
    delays = {signal.matures_after_s for signal in signals} | {0}
    exposed = [Signal(EXPOSURE, matures_after_s=delay) for delay in sorted(delays)]
    frozen = requests.thresholds
    return tuple(
        _rows(plan, requests, looks, signal, frozen.get(signal.metric))
        for signal in (*exposed, *dict.fromkeys(signals))
        if not (signal.measure in _FROZEN and signal.metric not in frozen)
    )


_FROZEN = (Measure.TAIL, Measure.CAPPED)


def _rows(
    plan: RolloutPlan,
    requests: Requests,
    looks: Looks,
    signal: Signal,
    frozen: Threshold | None,
) -> Rows:
    exposure = signal.metric == EXPOSURE
    values = np.ones(len(requests.at))
    if not exposure:
        values = _measured(signal.measure, requests.values[signal.metric], frozen)
    arrives = requests.arrives.get(signal.metric, requests.at)
    pieces = _pieces(signal, requests.at)
    on_time = ~np.isnan(values) & ~_late(signal, pieces, arrives)
    seen = np.searchsorted(looks.at, arrives, side="left")
    kept = np.flatnonzero(on_time & (seen < len(looks.at)))
    kept = kept[np.argsort(seen[kept], kind="stable")]
    places, place = _places(requests, pieces, kept)
    served, user, value = requests.served[kept], requests.user[kept], values[kept]
    counts = np.full(len(kept), exposure) | (
        (value != 0) & _counts_subjects(plan, signal)
    )
    return Rows(
        name=signal.name,
        look=seen[kept],
        place=place,
        served=served,
        cohort=requests.cohort[kept],
        bucket=(user % np.uint64(BUCKETS)).astype(np.int64),
        value=value,
        fresh=_first(counts, user, 2 * place + served, returning=requests.returning),
        places=places,
    )


def _measured(measure: Measure, values: Floats, frozen: Threshold | None) -> Floats:
    match measure:
        case Measure.VALUE:
            return values
        case Measure.LOG:
            return np.log(values)
        case Measure.TAIL:
            assert frozen is not None
            return np.where(np.isnan(values), np.nan, values > frozen.tail)
        case Measure.CAPPED:
            assert frozen is not None
            return np.minimum(values, frozen.cap)


def _pieces(signal: Signal, at: Floats) -> Ints:
    if not signal.matures_after_s:
        return np.zeros(len(at), dtype=np.int64)
    return (at // signal.step_s).astype(np.int64)


def _late(signal: Signal, pieces: Ints, arrives: Floats) -> Flags:
    if not signal.matures_after_s:
        return np.zeros(len(pieces), dtype=np.bool_)
    return arrives > (pieces + 1) * signal.step_s + signal.matures_after_s


def _places(
    requests: Requests, pieces: Ints, kept: Ints
) -> tuple[tuple[Place, ...], Ints]:
    numbered = pieces[kept] * len(requests.strata) + requests.stratum[kept]
    found, place = np.unique(numbered, return_inverse=True)
    places = [divmod(int(number), len(requests.strata)) for number in found]
    return tuple((*requests.strata[s], piece) for piece, s in places), place


def _counts_subjects(plan: RolloutPlan, signal: Signal) -> bool:
    event = plan.kind_of(signal.metric) is MetricKind.EVENT
    return event or signal.measure is Measure.TAIL


def _first(counts: Flags, user: Hashes, where: Ints, *, returning: bool) -> Flags:
    """Return which rows count a subject for the first time in a place and an arm."""
    if not returning:
        return counts
    fresh = np.zeros(len(counts), dtype=np.bool_)
    rows = np.flatnonzero(counts)
    mixed = user[rows] + where[rows].astype(np.uint64) * _SPREAD
    fresh[rows[np.unique(mixed, return_index=True)[1]]] = True
    return fresh


class Growing:
    """Evidence that grows from look to look."""

    def __init__(
        self, plan: RolloutPlan, rows: tuple[Rows, ...], *, cohorts: tuple[str, ...]
    ) -> None:
        self._cells: dict[CellKey, Cell] = {}
        self._subjects: dict[CellKey, int] = {}
        self._sums = [_Sums(plan, each, cohorts) for each in rows]

    def at(self, look: int) -> Evidence:
        """Return the evidence at a look; looks must come in their order."""
        for sums in self._sums:
            for key, cell, subjects in sums.grown(look):
                self._cells[key] = cell
                if subjects:
                    self._subjects[key] = subjects
        return Evidence(cells=self._cells, subjects=self._subjects, excluded={})


class _Sums:
    """Sums of one signal; a group is a place, an arm and a cohort."""

    def __init__(self, plan: RolloutPlan, rows: Rows, cohorts: tuple[str, ...]) -> None:
        self._plan, self._rows, self._cohorts = plan, rows, cohorts
        self._width = max(1, len(cohorts))
        arm = 2 * rows.place + rows.served
        self._group = arm * self._width + rows.cohort
        groups = 2 * len(rows.places) * self._width
        self._n = np.zeros((groups, BUCKETS), dtype=np.int64)
        self._x = np.zeros((groups, BUCKETS))
        self._xx = np.zeros(groups)
        self._subjects = np.zeros(groups, dtype=np.int64)
        self._done = 0

    def grown(self, look: int) -> Iterator[tuple[CellKey, Cell, int]]:
        """Add the rows until this look; yield what has changed."""
        until = int(np.searchsorted(self._rows.look, look, side="right"))
        new = slice(self._done, until)
        self._done = until
        group, value = self._group[new], self._rows.value[new]
        flat = group * BUCKETS + self._rows.bucket[new]
        np.add.at(self._n.reshape(-1), flat, 1)
        np.add.at(self._x.reshape(-1), flat, value)
        np.add.at(self._xx, group, value * value)
        np.add.at(self._subjects, group[self._rows.fresh[new]], 1)
        touched = np.unique(group)
        for arm in np.unique(touched // self._width).tolist():
            yield self._entry(arm, slice(arm * self._width, (arm + 1) * self._width))
        if self._cohorts:
            for number in touched.tolist():
                yield self._entry(
                    number // self._width,
                    slice(number, number + 1),
                    self._cohorts[number % self._width],
                )

    def _entry(
        self, arm: int, groups: slice, cohort: str = EVERYBODY
    ) -> tuple[CellKey, Cell, int]:
        place, served = divmod(arm, 2)
        epoch, rule, piece = self._rows.places[place]
        variant = self._plan.candidate if served else self._plan.control
        where = self._plan.route, 1, epoch, rule, piece
        key = CellKey(*where, self._rows.name, cohort, variant)
        cell = Cell()
        cell.n = array("q", self._n[groups].sum(axis=0).tobytes())
        cell.x = array("d", self._x[groups].sum(axis=0).tobytes())
        cell.xx = float(self._xx[groups].sum())
        return key, cell, int(self._subjects[groups].sum())
