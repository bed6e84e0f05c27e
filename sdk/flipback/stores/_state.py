"""Latches, rollout records, leases and processes in tables."""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from flipback.errors import StoreError
from flipback.latch import Latch
from flipback.ports import Lease, ProcessRecord
from flipback.rollout import RolloutRecord


_RECORDS = TypeAdapter(RolloutRecord)
_TRIPS = TypeAdapter(dict[str, int])
_TIMES = TypeAdapter(dict[str, float])
_NAMES = TypeAdapter(tuple[str, ...])
_SECRET_BYTES = 32
_LONGEST_LEASE_S = 60.0
_READ_LATCHES = "SELECT route, trip, held, reason, actor, intent, at FROM latches"
_PUT_LATCH = """
INSERT OR REPLACE INTO latches (route, trip, held, reason, actor, intent, at)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


def latches(db: sqlite3.Connection) -> Mapping[str, Latch]:
    """Return every latch in the table.

    Raises:
        StoreError: A row is garbage, so nobody knows what is killed.
    """
    return {row[0]: _latch(row) for row in db.execute(_READ_LATCHES)}


def put_latch(db: sqlite3.Connection, latch: Latch) -> Latch:
    """Keep the merger of the stored latch and this one; return it."""
    row = db.execute(f"{_READ_LATCHES} WHERE route = ?", (latch.route,)).fetchone()
    merged = latch if row is None else _latch(row).merge(latch)
    words = map(storable, (merged.reason, merged.actor, merged.intent, merged.at))
    db.execute(_PUT_LATCH, (merged.route, merged.trip, merged.held, *words))
    return merged


def _latch(row: Sequence[object]) -> Latch:
    route, trip, held, *words = row
    if not isinstance(trip, int) or held not in {0, 1}:
        raise StoreError(
            f"the store's latch of {route!r} is damaged; delete its row from the table "
            "`latches`, and look into the ledger for what is killed"
        )
    reason, actor, intent, at = map(str, words)
    return Latch(
        route=str(route),
        trip=trip,
        held=bool(held),
        reason=reason,
        actor=actor,
        intent=intent,
        at=at,
    )


def storable(text: str) -> str:
    """Replace lone surrogates, as terminals pass them: they must not stop a kill."""
    return text.encode(errors="replace").decode()


def rollout(db: sqlite3.Connection, route: str) -> RolloutRecord:
    """Return a route's record; fields that this version does not know are ignored."""
    row = db.execute("SELECT record FROM rollouts WHERE route = ?", (route,)).fetchone()
    return _RECORDS.validate_json(row[0]) if row else RolloutRecord(route=route)


def rollouts(db: sqlite3.Connection) -> Mapping[str, RolloutRecord]:
    """Return all records, by route."""
    rows = db.execute("SELECT route, record FROM rollouts")
    return {route: _RECORDS.validate_json(record) for route, record in rows}


def replace_rollout(
    db: sqlite3.Connection, record: RolloutRecord, *, lease: Lease | None
) -> bool:
    """Replace the record one revision below, unless the lease was superseded."""
    if lease is not None and lease.fence < _fence(db, lease.name):
        return False
    row = db.execute(
        "SELECT revision FROM rollouts WHERE route = ?", (record.route,)
    ).fetchone()
    if record.revision != (row[0] if row else 0) + 1:
        return False
    db.execute(
        "INSERT OR REPLACE INTO rollouts (route, revision, record) VALUES (?, ?, ?)",
        (record.route, record.revision, _RECORDS.dump_json(record).decode()),
    )
    return True


def _fence(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT fence FROM leases WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def acquire(
    db: sqlite3.Connection, name: str, *, holder: str, now: float, ttl_s: float
) -> Lease | None:
    """Renew a lease under its fence, or take one that has expired under the next.

    One that lasts longer than any lease was taken by a clock that was ahead, and would
    keep everybody out until then: it has expired, and the fence stops who had it.
    """
    row = db.execute(
        "SELECT holder, fence, expires_at FROM leases WHERE name = ?", (name,)
    ).fetchone()
    current, fence, expires_at = row or ("", 0, now)
    expired = not now < expires_at <= now + max(ttl_s, _LONGEST_LEASE_S)
    if not expired and current != holder:
        return None
    lease = Lease(name=name, holder=holder, fence=fence + 1 if expired else fence)
    db.execute(
        "INSERT OR REPLACE INTO leases (name, holder, fence, expires_at)"
        " VALUES (?, ?, ?, ?)",
        (name, holder, lease.fence, now + ttl_s),
    )
    return lease


def beat(db: sqlite3.Connection, process: ProcessRecord) -> None:
    """Register a process or renew its heartbeat."""
    trips = _TRIPS.dump_json(dict(process.trips)).decode()
    obeyed = _TIMES.dump_json(dict(process.obeyed_at)).decode()
    leads = _NAMES.dump_json(process.leads).decode()
    of, at = (process.id, process.host, process.pid), process.seen_at
    does = (process.drill, process.serves, process.guards, leads)
    db.execute(
        "INSERT OR REPLACE INTO processes"
        " (id, host, pid, seen_at, trips, obeyed_at, drill, serves, guards, leads)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*of, at, trips, obeyed, *does),
    )


def processes(db: sqlite3.Connection, *, since: float) -> Sequence[ProcessRecord]:
    """Return processes seen after `since`, by id."""
    rows = db.execute(
        "SELECT id, host, pid, seen_at, trips, obeyed_at, drill, serves, guards, leads"
        " FROM processes WHERE seen_at > ? ORDER BY id",
        (since,),
    )
    return tuple(
        ProcessRecord(
            id=process_id,
            host=host,
            pid=pid,
            seen_at=seen_at,
            trips=_TRIPS.validate_json(trips),
            obeyed_at=_TIMES.validate_json(obeyed_at),
            drill=drill,
            serves=bool(serves),
            guards=bool(guards),
            leads=_NAMES.validate_json(leads),
        )
        for (
            process_id,
            host,
            pid,
            seen_at,
            trips,
            obeyed_at,
            drill,
            serves,
            guards,
            leads,
        ) in rows
    )


def secret(db: sqlite3.Connection) -> bytes | None:
    """Return the store's secret, None while it has none."""
    row = db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
    return bytes(row[0]) if row else None


def put_secret(db: sqlite3.Connection) -> bytes:
    """Create the store's secret and return it."""
    created = secrets.token_bytes(_SECRET_BYTES)
    db.execute("INSERT INTO meta (name, value) VALUES ('secret', ?)", (created,))
    return created
