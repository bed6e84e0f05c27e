"""Evidence in tables: cells, distinct subjects, late outcomes, exclusions."""

import math
import sqlite3
import sys
from array import array
from collections.abc import Mapping
from typing import TypeVar

from flipback.exposure import (
    BUCKETS,
    Batch,
    Cell,
    CellKey,
    Evidence,
    LateOutcome,
)
from flipback.histogram import Histogram
from flipback.stores import _epochs, _subjects


_FIND_KEY = """
SELECT id FROM keys
WHERE route = ? AND attempt = ? AND epoch = ? AND rule = ? AND slice = ?
    AND metric = ? AND cohort = ? AND variant = ?
"""
_ADD_KEY = """
INSERT INTO keys (route, attempt, epoch, rule, slice, metric, cohort, variant)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_ADD_EXCLUDED = """
INSERT INTO excluded (route, trip, reason, exposures)
VALUES (
    :route, coalesce((SELECT trip FROM latches WHERE route = :route), 0),
    :reason, :exposures
)
ON CONFLICT DO UPDATE SET exposures = exposures + :exposures
"""
_READ_KEYS = """
SELECT keys.route, keys.attempt, epoch, rule, slice, metric, cohort, variant,
    subjects, origin, n, x, xx
FROM keys
JOIN epochs ON epochs.route = keys.route AND epochs.digest = keys.epoch
    AND epochs.attempt = keys.attempt
LEFT JOIN cells ON cells.key = keys.id
WHERE keys.route = ? AND keys.attempt = ? AND epochs.trip = ?
    AND epochs.comparison = ?
"""
_ADD_TO_HISTOGRAM = """
INSERT INTO histograms (key, bin, n) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n
"""
_READ_HISTOGRAMS = """
SELECT metric, bin, sum(n)
FROM histograms
JOIN keys ON keys.id = histograms.key
JOIN epochs ON epochs.route = keys.route AND epochs.digest = keys.epoch
    AND epochs.attempt = keys.attempt
WHERE keys.route = ? AND keys.attempt = ? AND epochs.trip = ?
    AND epochs.comparison = ?
GROUP BY metric, bin
"""
_READ_EXCLUDED = """
SELECT reason, sum(exposures) FROM excluded
WHERE route = ? AND trip >= ? GROUP BY reason
"""


def is_new(db: sqlite3.Connection, batch: Batch, *, now: float) -> bool:
    """Record a batch as applied; False where it, or a later one, already was."""
    row = db.execute(
        "SELECT last FROM writers WHERE writer = ?", (batch.writer,)
    ).fetchone()
    if row is not None and row[0] >= batch.sequence:
        return False
    db.execute(
        "INSERT OR REPLACE INTO writers (writer, last, seen_at) VALUES (?, ?, ?)",
        (batch.writer, batch.sequence, now),
    )
    return True


def book(db: sqlite3.Connection, batch: Batch, *, now: float, most: int) -> None:
    """Add everything in a batch to the tables.

    Args:
        db: A connection inside a write transaction.
        batch: What to add; it is not changed.
        now: Unix seconds; late outcomes that have expired by then are ignored.
        most: Hashes of subjects to keep per route and attempt: of those exposed, and
            of those with an event.
    """
    _epochs.add(db, batch.epochs.values(), now=now)
    late = _Late()
    for outcome in batch.late:
        if outcome.expires_at > now and _is_first(db, outcome):
            late.collect(outcome)
    for cells in (batch.cells, late.cells):
        _add_cells(db, cells)
    for subjects in (batch.subjects, late.subjects):
        _subjects.add(db, subjects, most=most, key_id=_key_id)
    for histograms in (batch.histograms, late.histograms):
        _add_histograms(db, histograms)
    for (route, reason), exposures in batch.excluded.items():
        row = {"route": route, "reason": reason, "exposures": exposures}
        db.execute(_ADD_EXCLUDED, row)


def read(
    db: sqlite3.Connection,
    route: str,
    *,
    attempt: int,
    trip: int,
    comparison: str | None,
) -> Evidence:
    """Return the evidence of all epochs of this attempt, trip and comparison."""
    cells: dict[CellKey, Cell] = {}
    subjects: dict[CellKey, int] = {}
    if comparison is None:
        comparison = _epochs.last_comparison(db, route, attempt=attempt, trip=trip)
    of = (route, attempt, trip, comparison)
    for row in db.execute(_READ_KEYS, of):
        key = CellKey(*row[:8])
        if row[8]:
            subjects[key] = row[8]
        if row[9] is not None:
            cells[key] = _unpacked(*row[9:])
    sampled, events_sampled = _subjects.sampled(db, route, attempt)
    return Evidence(
        cells=cells,
        subjects=subjects,
        excluded=dict(db.execute(_READ_EXCLUDED, (route, trip)).fetchall()),
        sampled=sampled,
        events_sampled=events_sampled,
        shares=_epochs.shares(db, of),
        opened=_epochs.opened(db, of),
        histograms=_histograms(db, of),
        comparison=comparison,
    )


def _is_first(db: sqlite3.Connection, outcome: LateOutcome) -> bool:
    inserted = db.execute(
        "INSERT OR IGNORE INTO late (decision, metric, expires_at) VALUES (?, ?, ?)",
        (outcome.decision_id, outcome.metric, outcome.expires_at),
    )
    return inserted.rowcount == 1


class _Late:
    """Sums of the late outcomes of one batch."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.subjects: dict[CellKey, set[int]] = {}
        self.histograms: dict[CellKey, Histogram] = {}

    def collect(self, outcome: LateOutcome) -> None:
        bucket = outcome.subject % BUCKETS
        for key, entry in outcome.entries:
            if key not in self.cells:
                self.cells[key] = Cell.starting_at(entry.value)
            self.cells[key].add(bucket, entry.value)
            if entry.counts:
                self.subjects.setdefault(key, set()).add(outcome.subject)
        if outcome.distributed is not None:
            key, value = outcome.distributed
            self.histograms.setdefault(key, Histogram()).add(value)


def _key_id(db: sqlite3.Connection, key: CellKey) -> int:
    row = db.execute(_FIND_KEY, key).fetchone()
    return int(row[0] if row else db.execute(_ADD_KEY, key).fetchone()[0])


def _add_cells(db: sqlite3.Connection, cells: Mapping[CellKey, Cell]) -> None:
    for key, cell in cells.items():
        key_id = _key_id(db, key)
        row = db.execute(
            "SELECT origin, n, x, xx FROM cells WHERE key = ?", (key_id,)
        ).fetchone()
        merged = cell
        if row is not None:
            merged = _unpacked(*row)
            merged.merge(cell)
        db.execute(
            "INSERT OR REPLACE INTO cells (key, origin, n, x, xx)"
            " VALUES (?, ?, ?, ?, ?)",
            (key_id, *_packed(merged)),
        )


def _packed(cell: Cell) -> tuple[float, bytes, bytes, float]:
    # SQLite turns NaN into NULL; an unknown spread is an infinite one.
    spread = math.inf if math.isnan(cell.xx) else cell.xx
    return (cell.origin, _to_bytes(cell.n), _to_bytes(cell.x), spread)


def _unpacked(origin: float, n: bytes, x: bytes, spread: float) -> Cell:
    cell = Cell(origin)
    cell.n = _from_bytes(array("q"), n)
    cell.x = _from_bytes(array("d"), x)
    cell.xx = spread
    return cell


def _to_bytes(numbers: "array[int] | array[float]") -> bytes:
    if sys.byteorder == "little":
        return numbers.tobytes()
    swapped = numbers[:]
    swapped.byteswap()
    return swapped.tobytes()


_Numbers = TypeVar("_Numbers", "array[int]", "array[float]")


def _from_bytes(numbers: _Numbers, stored: bytes) -> _Numbers:
    if len(stored) != numbers.itemsize * BUCKETS:
        raise sqlite3.DatabaseError("a cell has the wrong size")
    numbers.frombytes(stored)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _add_histograms(
    db: sqlite3.Connection, histograms: Mapping[CellKey, Histogram]
) -> None:
    for key, histogram in histograms.items():
        key_id = _key_id(db, key)
        rows = [(key_id, number, count) for number, count in histogram.bins.items()]
        db.executemany(_ADD_TO_HISTOGRAM, rows)


def _histograms(db: sqlite3.Connection, of: _epochs.Scope) -> dict[str, Histogram]:
    bins: dict[str, dict[int, int]] = {}
    for metric, number, count in db.execute(_READ_HISTOGRAMS, of):
        bins.setdefault(metric, {})[number] = count
    return {metric: Histogram(counts) for metric, counts in bins.items()}
