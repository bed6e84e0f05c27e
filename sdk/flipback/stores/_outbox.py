"""Notices in a table: a settled one is remembered, so that it is not posted again."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple

from flipback.ports import Notice
from flipback.stores._state import storable


_POST = """
INSERT OR IGNORE INTO notices
    (id, target, event, route, at, body, attempts, next_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_DUE = """
SELECT id, target, event, route, at, body, attempts, next_at FROM notices
WHERE settled_at IS NULL AND next_at <= ? ORDER BY at, id
"""
_RETRY = """
UPDATE notices SET attempts = attempts + 1, next_at = ?
WHERE id = ? AND settled_at IS NULL
"""
_SETTLE = "UPDATE notices SET settled_at = ? WHERE id = ? AND settled_at IS NULL"


def is_known(db: sqlite3.Connection, notice_id: str) -> bool:
    """Return whether a notice was posted before, settled or not."""
    known = db.execute("SELECT 1 FROM notices WHERE id = ?", (storable(notice_id),))
    return known.fetchone() is not None


def post(db: sqlite3.Connection, notice: Notice) -> bool:
    """Keep a notice; False where its id was there before, settled or not."""
    row = [storable(v) if isinstance(v, str) else v for v in astuple(notice)]
    return db.execute(_POST, row).rowcount == 1


def due(db: sqlite3.Connection, *, now: float) -> Sequence[Notice]:
    """Return the notices whose time to try has come, oldest first."""
    return tuple(
        Notice(
            id=notice_id,
            target=target,
            event=event,
            route=route,
            at=at,
            body=body,
            attempts=attempts,
            next_at=next_at,
        )
        for notice_id, target, event, route, at, body, attempts, next_at in db.execute(
            _DUE, (now,)
        )
    )


def settle(
    db: sqlite3.Connection, notice_id: str, *, retry_at: float | None, now: float
) -> None:
    """Settle a notice, or count a failure; of what is settled nothing changes."""
    name = storable(notice_id)
    if retry_at is None:
        db.execute(_SETTLE, (now, name))
    else:
        db.execute(_RETRY, (retry_at, name))
