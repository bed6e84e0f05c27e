"""Distinct subjects: their hashes, and of too many a sample that is exact.

Those exposed are many, those with an event few: each sort is thinned on its own, so
that the many do not cost the few, on whom the evidence rests.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import NamedTuple

from flipback.exposure import EXPOSURE, CellKey
from flipback.signals import is_exposure


_HASHES = 1 << 64
_TO_SIGNED = 1 << 63  # subtracting keeps the order, and SQLite has no unsigned
_MOST_HALVINGS = 63

KeyId = Callable[[sqlite3.Connection, CellKey], int]
Sampled = tuple[float, float]
"""Shares of the exposed subjects that are kept, and of those with an event."""

_READ = "SELECT halvings, events_halvings FROM samples WHERE route = ? AND attempt = ?"
_WRITE = """
INSERT OR REPLACE INTO samples (route, attempt, halvings, events_halvings)
VALUES (?, ?, ?, ?)
"""
_STORED = """
SELECT sum(subjects) FROM keys
WHERE route = ? AND attempt = ?
    AND (metric = :exposure OR metric LIKE :exposure || '@%') = ?
""".replace(":exposure", f"'{EXPOSURE}'")
_THIN = """
DELETE FROM subjects WHERE hash >= ? AND key IN (
    SELECT id FROM keys WHERE route = ? AND attempt = ?
        AND (metric = :exposure OR metric LIKE :exposure || '@%') = ?
)
""".replace(":exposure", f"'{EXPOSURE}'")
_COUNT_AGAIN = """
UPDATE keys SET subjects = (SELECT count(*) FROM subjects WHERE key = keys.id)
WHERE route = ? AND attempt = ?
"""


class _Halvings(NamedTuple):
    """How often the range of hashes that are kept was halved, by sort."""

    exposed: int = 0
    with_event: int = 0

    def of(self, *, exposed: bool) -> int:
        return self.exposed if exposed else self.with_event

    def once_more(self, *, exposed: bool) -> "_Halvings":
        if exposed:
            return self._replace(exposed=self.exposed + 1)
        return self._replace(with_event=self.with_event + 1)


def add(
    db: sqlite3.Connection,
    subjects: Mapping[CellKey, set[int]],
    *,
    most: int,
    key_id: KeyId,
) -> None:
    """Add subjects to their keys, each once.

    Args:
        db: A connection inside a write transaction.
        subjects: Hashes of 64 bits by key.
        most: Hashes of either sort to keep per route and attempt.
        key_id: Finds the row of a key, or makes it.
    """
    groups = {(key.route, key.attempt) for key in subjects}
    known = {group: _halvings(db, *group) for group in groups}
    for key, hashes in subjects.items():
        of = known[key.route, key.attempt].of(exposed=is_exposure(key.metric))
        row, limit = key_id(db, key), _limit(of)
        inserted = db.executemany(
            "INSERT OR IGNORE INTO subjects (key, hash) VALUES (?, ?)",
            [(row, each - _TO_SIGNED) for each in sorted(hashes) if each < limit],
        ).rowcount
        db.execute(
            "UPDATE keys SET subjects = subjects + ? WHERE id = ?",
            (max(0, inserted), row),
        )
    for group in groups:
        for exposed in (True, False):
            _thin(db, *group, exposed=exposed, most=most)


def sampled(db: sqlite3.Connection, route: str, attempt: int) -> Sampled:
    """Return which shares of all subjects are kept."""
    known = _halvings(db, route, attempt)
    return 1 / (1 << known.exposed), 1 / (1 << known.with_event)


def _halvings(db: sqlite3.Connection, route: str, attempt: int) -> _Halvings:
    row = db.execute(_READ, (route, attempt)).fetchone()
    return _Halvings(*row) if row else _Halvings()


def _limit(halvings: int) -> int:
    return _HASHES >> halvings


def _stored(db: sqlite3.Connection, route: str, attempt: int, *, exposed: bool) -> int:
    row = db.execute(_STORED, (route, attempt, exposed)).fetchone()
    return int(row[0] or 0)


def _thin(
    db: sqlite3.Connection, route: str, attempt: int, *, exposed: bool, most: int
) -> None:
    """Halve the limit of all keys of one sort until at most `most` hashes remain.

    The limit that results depends only on the set of subjects seen, not on the
    order in which batches came.
    """
    known = _halvings(db, route, attempt)
    while (
        _stored(db, route, attempt, exposed=exposed) > most
        and known.of(exposed=exposed) < _MOST_HALVINGS
    ):
        known = known.once_more(exposed=exposed)
        db.execute(_WRITE, (route, attempt, *known))
        limit = _limit(known.of(exposed=exposed)) - _TO_SIGNED
        db.execute(_THIN, (limit, route, attempt, exposed))
        db.execute(_COUNT_AGAIN, (route, attempt))
