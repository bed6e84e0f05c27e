"""Prune a store that others are using: short transactions, and room given back."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from flipback.errors import StoreError
from flipback.ports import Pruned
from flipback.stores import _prune
from flipback.stores._connection import Connection


LARGEST_REWRITE = 16 * 1024 * 1024
"""Bytes in use beyond which a file is not written anew: others would wait too long."""

_LONGEST_REWRITE_S = 0.3
_PAUSE_S = 0.01  # for the writes of others
_PAGES = 500
_STEPS = 10_000
_BY_PARTS = 2
_SOMEBODY = "somebody else is using the store; the next prune gives it back"


def pruned(
    connection: Connection, *, before: float, now: float, thorough: bool
) -> Pruned:
    """Forget what is no longer needed; see `EvidenceStore.prune`.

    Args:
        connection: The store, for writing.
        before: Unix seconds.
        now: Unix seconds.
        thorough: See `EvidenceStore.prune`.
    """
    size = _size(connection.path)
    counts = _forget(connection, _prune.expired(before=before, now=now))
    attempts, kept = 0, ""
    if thorough:
        counts += _forget(connection, _prune.told(before=before))
        attempts, rows = _forget_attempts(connection, before=before)
        counts += rows
        kept = _give_back(connection)
    return Pruned(
        receipts=counts["receipts"],
        writers=counts["writers"],
        processes=counts["processes"],
        notices=counts["notices"],
        attempts=attempts,
        rows=counts["rows"],
        size_before=size,
        size_after=_size(connection.path),
        kept=kept,
    )


def _forget(connection: Connection, steps: Iterable[_prune.Step]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for step in steps:
        forgotten = _prune.MOST_ROWS
        while forgotten == _prune.MOST_ROWS:
            with connection.writing() as db:
                forgotten = step.run(db)
            counts[step.sort] += forgotten
            time.sleep(_PAUSE_S if forgotten == _prune.MOST_ROWS else 0)
    return counts


def _forget_attempts(
    connection: Connection, *, before: float
) -> tuple[int, Counter[str]]:
    with connection.reading() as db:
        attempts = tuple(_prune.ended(db, before=before))
    counts: Counter[str] = Counter()
    for attempt in attempts:
        counts += _forget(connection, _prune.observed(attempt))
        with connection.writing() as db:
            _prune.rest(db, attempt)
    return len(attempts), counts


def _give_back(connection: Connection) -> str:
    """Return why room that is free was not given back; empty where it was."""
    try:
        with connection.bare() as db:
            by_parts = _number(db, "auto_vacuum") == _BY_PARTS
            if not by_parts and (why := _rewrite(db)):
                return why
        if by_parts:
            _shrink(connection)
        with connection.bare() as db:
            (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except StoreError:  # forgotten it is, whatever becomes of the room
        return _SOMEBODY
    return _SOMEBODY if busy else ""


def _shrink(connection: Connection) -> None:
    free = True
    while free:
        with connection.writing() as db:
            db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
            free = bool(_number(db, "freelist_count"))
        time.sleep(_PAUSE_S if free else 0)


def _rewrite(db: sqlite3.Connection) -> str:
    """Write the whole file anew, from when on it can be shrunk by parts."""
    pages = _number(db, "page_count") - _number(db, "freelist_count")
    if pages * _number(db, "page_size") > LARGEST_REWRITE:
        return (
            "the file was made by an earlier version, and writing it anew would keep "
            "others waiting; stop them and run `sqlite3 FILE VACUUM`"
        )
    until = time.monotonic() + _LONGEST_REWRITE_S
    db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of effect with what follows
        db.execute("VACUUM")
    except sqlite3.OperationalError:
        return _SOMEBODY
    finally:
        db.set_progress_handler(None, 0)
    return ""


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(each.stat().st_size for each in files if each.exists())
