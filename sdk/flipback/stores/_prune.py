"""Forgetting: a little at a time, so that nobody else waits for long."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple


MOST_ROWS = 5_000
"""Rows that are forgotten in one transaction; other processes' writes go in between."""

_LATE = """
DELETE FROM late WHERE (decision, metric) IN
    (SELECT decision, metric FROM late WHERE expires_at <= ? LIMIT ?)
"""
_WRITERS = """
DELETE FROM writers WHERE writer IN
    (SELECT writer FROM writers WHERE seen_at < ? LIMIT ?)
"""
_PROCESSES = """
DELETE FROM processes WHERE id IN
    (SELECT id FROM processes WHERE seen_at < ? LIMIT ?)
"""
_NOTICES = """
DELETE FROM notices WHERE id IN
    (SELECT id FROM notices WHERE settled_at < ? LIMIT ?)
"""
_OF_KEYS = tuple(
    statement.replace(":keys", "SELECT id FROM keys WHERE route = ? AND attempt = ?")
    for statement in (
        """
DELETE FROM subjects WHERE (key, hash) IN
    (SELECT key, hash FROM subjects WHERE key IN (:keys) LIMIT ?)
""",
        """
DELETE FROM histograms WHERE (key, bin) IN
    (SELECT key, bin FROM histograms WHERE key IN (:keys) LIMIT ?)
""",
        """
DELETE FROM cells WHERE key IN
    (SELECT key FROM cells WHERE key IN (:keys) LIMIT ?)
""",
    )
)
_POINTS = """
DELETE FROM course WHERE rowid IN
    (SELECT rowid FROM course WHERE route = ? AND attempt = ? LIMIT ?)
"""
_REST = (
    "DELETE FROM keys WHERE route = ? AND attempt = ?",
    "DELETE FROM epochs WHERE route = ? AND attempt = ?",
    "DELETE FROM samples WHERE route = ? AND attempt = ?",
)
# An attempt that nobody dated ended when the present one began, or before.
_ENDED = """
WITH
    seen (route, attempt, at) AS (
        SELECT route, attempt, 0 FROM keys GROUP BY route, attempt
        UNION ALL SELECT route, attempt, max(seen_at) FROM epochs
            GROUP BY route, attempt
        UNION ALL SELECT route, attempt, max(at) FROM course GROUP BY route, attempt
    )
SELECT seen.route, seen.attempt
FROM seen JOIN rollouts ON rollouts.route = seen.route
WHERE seen.attempt < json_extract(record, '$.attempt') - 1
GROUP BY seen.route, seen.attempt
HAVING coalesce(
    nullif(max(seen.at), 0), nullif(json_extract(record, '$.started'), 0), 9e99
) < ?
"""


class Step(NamedTuple):
    """One statement that forgets at most so many rows of a sort."""

    sort: str
    statement: str
    arguments: tuple[str | int | float, ...]

    def run(self, db: sqlite3.Connection) -> int:
        """Return how many rows were forgotten; fewer than asked for means all."""
        return db.execute(self.statement, (*self.arguments, MOST_ROWS)).rowcount


def expired(*, before: float, now: float) -> Iterable[Step]:
    """Return what forgets receipts that expired, and who was not seen since."""
    return (
        Step("receipts", _LATE, (min(before, now),)),
        Step("writers", _WRITERS, (before,)),
        Step("processes", _PROCESSES, (before,)),
    )


def told(*, before: float) -> Iterable[Step]:
    """Return what forgets notices that were settled before."""
    return (Step("notices", _NOTICES, (before,)),)


class Attempt(NamedTuple):
    """One run of one route's rollout."""

    route: str
    number: int


def ended(db: sqlite3.Connection, *, before: float) -> Iterable[Attempt]:
    """Return the attempts that ended before; never the last two of a route."""
    return tuple(Attempt(*row) for row in db.execute(_ENDED, (before,)))


def observed(attempt: Attempt) -> Iterable[Step]:
    """Return what forgets most of what was observed in an attempt."""
    return (
        *(Step("rows", statement, attempt) for statement in _OF_KEYS),
        Step("rows", _POINTS, attempt),
    )


def rest(db: sqlite3.Connection, attempt: Attempt) -> None:
    """Forget what an attempt still has once what was observed is forgotten."""
    for statement in _REST:
        db.execute(statement, attempt)
