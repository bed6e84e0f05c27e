"""Epochs in tables: what is known of each, and the percentiles frozen before it."""

import sqlite3
from collections.abc import Iterable

from pydantic import TypeAdapter

from flipback.exposure import Epoch
from flipback.histogram import Threshold, Thresholds


Scope = tuple[str, int, int, str]
"""Route, attempt, trip and comparison: the epochs of one analysis."""

_SHARES = TypeAdapter(dict[str, float])
_THRESHOLDS = TypeAdapter(dict[str, Threshold])
_ADD_EPOCH = """
INSERT INTO epochs (
    route, digest, ordinal, attempt, trip, described, comparison,
    flag_version, shares, thresholds, opened_at
)
VALUES (
    :route, :digest,
    (SELECT coalesce(max(ordinal), 0) + 1 FROM epochs WHERE route = :route),
    :attempt, :trip, :described, :comparison,
    :flag_version, :shares, :thresholds, :opened_at
)
ON CONFLICT DO UPDATE SET shares = excluded.shares WHERE epochs.shares = '{}'
"""
_FLUSHED = """
UPDATE epochs SET seen_at = :now, flushed =
    (SELECT max(flushed) + 1 FROM epochs WHERE route = :route)
WHERE route = :route AND digest = :digest
"""
_LAST_COMPARISON = """
SELECT comparison FROM epochs WHERE route = ? AND attempt = ? AND trip = ?
ORDER BY flushed DESC LIMIT 1
"""
_READ_SHARES = """
SELECT digest, shares FROM epochs
WHERE route = ? AND attempt = ? AND trip = ? AND comparison = ? AND shares <> '{}'
"""
_READ_OPENED = """
SELECT digest, opened_at FROM epochs
WHERE route = ? AND attempt = ? AND trip = ? AND comparison = ?
"""
_READ_FROZEN = """
SELECT metric, tail, cap FROM frozen WHERE route = ? AND comparison = ?
"""
_FREEZE = """
INSERT OR IGNORE INTO frozen (route, comparison, metric, tail, cap)
VALUES (?, ?, ?, ?, ?)
"""


def add(db: sqlite3.Connection, new: Iterable[Epoch], *, now: float) -> None:
    """Add epochs; of one that is known, only shares that are missing yet."""
    for epoch in new:
        row = {
            "route": epoch.route,
            "digest": epoch.digest,
            "attempt": epoch.attempt,
            "trip": epoch.trip,
            "described": epoch.described,
            "comparison": epoch.comparison,
            "flag_version": epoch.flag_version,
            "shares": _SHARES.dump_json(dict(epoch.shares)).decode(),
            "thresholds": _THRESHOLDS.dump_json(dict(epoch.thresholds)).decode(),
            "opened_at": now,
        }
        db.execute(_ADD_EPOCH, row)
        flushed = {"route": epoch.route, "digest": epoch.digest, "now": now}
        db.execute(_FLUSHED, flushed)


def last_comparison(
    db: sqlite3.Connection, route: str, *, attempt: int, trip: int
) -> str:
    """Return the comparison that was flushed to last, empty where there is none."""
    row = db.execute(_LAST_COMPARISON, (route, attempt, trip)).fetchone()
    return str(row[0]) if row else ""


def epochs(db: sqlite3.Connection, route: str) -> tuple[Epoch, ...]:
    """Return the epochs of a route by ordinal."""
    rows = db.execute(
        "SELECT digest, attempt, trip, described, comparison, flag_version, shares,"
        " thresholds FROM epochs WHERE route = ? ORDER BY ordinal",
        (route,),
    )
    return tuple(
        Epoch(
            digest=digest,
            route=route,
            attempt=attempt,
            trip=trip,
            described=described,
            comparison=comparison,
            flag_version=flag_version,
            shares=_SHARES.validate_json(shares),
            thresholds=_THRESHOLDS.validate_json(thresholds),
        )
        for (
            digest,
            attempt,
            trip,
            described,
            comparison,
            flag_version,
            shares,
            thresholds,
        ) in rows
    )


def opened(db: sqlite3.Connection, of: Scope) -> dict[str, float]:
    """Return when each epoch became known, Unix seconds."""
    return dict(db.execute(_READ_OPENED, of).fetchall())


def shares(db: sqlite3.Connection, of: Scope) -> dict[tuple[str, str], float]:
    """Return the candidate's shares by epoch and rule, where they are known."""
    return {
        (digest, rule): share
        for digest, known in db.execute(_READ_SHARES, of)
        for rule, share in _SHARES.validate_json(known).items()
    }


def frozen(db: sqlite3.Connection, route: str, comparison: str) -> Thresholds:
    """Return the percentiles that are frozen for a comparison."""
    return {
        metric: Threshold(tail=tail, cap=cap)
        for metric, tail, cap in db.execute(_READ_FROZEN, (route, comparison))
    }


def freeze(
    db: sqlite3.Connection, route: str, comparison: str, thresholds: Thresholds
) -> Thresholds:
    """Freeze what is not frozen yet; return all that is."""
    rows = [
        (route, comparison, metric, tail, cap)
        for metric, (tail, cap) in thresholds.items()
    ]
    db.executemany(_FREEZE, rows)
    return frozen(db, route, comparison)
