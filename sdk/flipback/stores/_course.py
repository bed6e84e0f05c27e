"""The course of attempts in a table: points, of many the older ones thinned evenly."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import TypeAdapter

from flipback.course import CoursePoint
from flipback.stores._state import storable


MOST_POINTS = 400
"""Points kept of one attempt."""

RECENT = 100
"""The latest points, which are never thinned out."""

_POINTS = TypeAdapter(CoursePoint)
_ADD = """
INSERT INTO course (route, attempt, number, at, point)
VALUES (
    :route, :attempt,
    (SELECT coalesce(max(number) + 1, 0) FROM course
        WHERE route = :route AND attempt = :attempt),
    :at, :point
)
RETURNING number
"""
_SECOND = """
SELECT number FROM course WHERE route = ? AND attempt = ? AND number > 0
ORDER BY number LIMIT 1
"""
_COUNT = "SELECT count(*) FROM course WHERE route = ? AND attempt = ?"
_THIN = """
DELETE FROM course
WHERE route = ? AND attempt = ? AND number <= ? AND number % ? <> 0
"""


def keep(db: sqlite3.Connection, point: CoursePoint) -> None:
    """Keep one point; thin the older ones where there are too many.

    Points are numbered as they come, from 0. Of those that are not recent any more the
    multiples of a power of two stay, which doubles with every thinning.
    """
    # Floats may be infinite, which only Python's own JSON keeps.
    row = {
        "route": point.route,
        "attempt": point.attempt,
        "at": point.at,
        "point": storable(json.dumps(asdict(point), ensure_ascii=False)),
    }
    (number,) = db.execute(_ADD, row).fetchone()
    of = (point.route, point.attempt)
    stride = _stride(db, *of)
    db.execute(_THIN, (*of, number - RECENT, stride))
    if _count(db, *of) > MOST_POINTS:
        db.execute(_THIN, (*of, number - RECENT, 2 * stride))


def course(
    db: sqlite3.Connection, route: str, *, attempt: int
) -> Sequence[CoursePoint]:
    """Return the points of an attempt, oldest first."""
    rows = db.execute(
        "SELECT point FROM course WHERE route = ? AND attempt = ? ORDER BY at, number",
        (route, attempt),
    )
    return tuple(_POINTS.validate_json(point) for (point,) in rows)


def _stride(db: sqlite3.Connection, route: str, attempt: int) -> int:
    """Return how far apart the older points are: the second is where it says."""
    row = db.execute(_SECOND, (route, attempt)).fetchone()
    return int(row[0]) if row else 1


def _count(db: sqlite3.Connection, route: str, attempt: int) -> int:
    return int(db.execute(_COUNT, (route, attempt)).fetchone()[0])
