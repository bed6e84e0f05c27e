"""The embedded store: one SQLite file shared by the processes of one host."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flipback.course import CoursePoint
from flipback.errors import StoreError
from flipback.exposure import Batch, Epoch, Evidence
from flipback.histogram import Thresholds
from flipback.latch import Latch
from flipback.ports import (
    Clock,
    Lease,
    LedgerEntry,
    Notice,
    ProcessRecord,
    Pruned,
    Store,
)
from flipback.rollout import RolloutRecord
from flipback.stores import _course, _entries, _epochs, _evidence, _outbox, _state
from flipback.stores._connection import Connection
from flipback.stores._room import pruned
from flipback.stores._schema import prepare


MOST_HASHES = 100_000
"""Hashes of subjects kept per route and attempt before they are sampled."""

BUSY_TIMEOUT_S = 1.0


def open_sqlite(location: str, *, base: str, clock: Clock) -> Store:
    """Open the store in this file, which is created if its folder exists.

    Args:
        location: The file's path, as after `sqlite:`.
        base: Folder at which a relative path starts.
        clock: Tells expiry of leases and receipts.

    Raises:
        StoreError: The file cannot be used; the message says what to do.
    """
    if not location or location.startswith(":"):
        raise StoreError(
            f"sqlite:{location} names no file that processes could share; "
            'write `store = "sqlite:flipback.db"`'
        )
    return SqliteStore(Path(base, location), clock=clock)


class SqliteStore:
    """A `Store` in one SQLite file, for any number of threads and processes.

    Reads and writes have a connection each, so a poll never waits for a flush.
    Never call it on the request path: a write waits for other processes' writes.

    Args:
        path: The file; never on a network file system, which cannot share its log.
        clock: Tells expiry of leases and receipts.
        most_hashes: Hashes of subjects to keep per route and attempt.
        busy_timeout_s: How long to wait for the writes of other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        most_hashes: int = MOST_HASHES,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self._clock = clock
        self._most_hashes = most_hashes
        self._reader = Connection(path, prepare=prepare, timeout_s=busy_timeout_s)
        self._writer = Connection(path, prepare=prepare, timeout_s=busy_timeout_s)
        with self._reader.reading():
            pass

    def flush(self, batch: Batch) -> bool:
        """Add a batch exactly once; return False if it was there already.

        A writer flushes its batches in the order of their sequence numbers, from 1:
        one that comes after a later one counts as known.
        """
        now = self._now()
        with self._writer.writing() as db:
            new = _evidence.is_new(db, batch, now=now)
            if new:
                _evidence.book(db, batch, now=now, most=self._most_hashes)
        return new

    def evidence(
        self, route: str, *, attempt: int, trip: int, comparison: str | None = None
    ) -> Evidence:
        """Return what was observed since that trip in that attempt.

        Excluded exposures know no attempt: they are those that were flushed since
        the store learned of that trip.
        """
        with self._reader.reading() as db:
            return _evidence.read(
                db, route, attempt=attempt, trip=trip, comparison=comparison
            )

    def freeze(self, route: str, comparison: str, thresholds: Thresholds) -> Thresholds:
        """Freeze percentiles for a comparison, the first of each metric for good.

        Returns all that are frozen. Nothing is written where nothing is new.
        """
        with self._reader.reading() as db:
            known = _epochs.frozen(db, route, comparison)
        if thresholds.keys() <= known.keys():
            return known
        with self._writer.writing() as db:
            return _epochs.freeze(db, route, comparison, thresholds)

    def epochs(self, route: str) -> Sequence[Epoch]:
        """Return the epochs of a route in the order in which they became known.

        The place, counted from 1, is the short ordinal by which people call one.
        """
        with self._reader.reading() as db:
            return _epochs.epochs(db, route)

    def secret(self) -> bytes:
        """Return this store's 32 random bytes, the same in every process."""
        with self._reader.reading() as db:
            known = _state.secret(db)
        if known is not None:
            return known
        with self._writer.writing(durable=True) as db:
            return _state.secret(db) or _state.put_secret(db)

    def prune(self, *, before: float, thorough: bool = False) -> Pruned:
        """Forget expired receipt keys, and writers and processes not seen since.

        Others are never kept waiting for longer than `busy_timeout_s`: it is done in
        many short transactions, and giving room back is left out where it would take
        longer.

        Args:
            before: Unix seconds, earlier than anybody may still retry a flush of.
                Receipts that are valid now are kept whatever it is.
            thorough: Forget settled notices and what was observed in attempts that
                ended before as well, and give room back.
        """
        return pruned(self._writer, before=before, now=self._now(), thorough=thorough)

    def latches(self) -> Mapping[str, Latch]:
        """Return every route's latch."""
        with self._reader.reading() as db:
            return _state.latches(db)

    def put_latch(self, latch: Latch) -> Latch:
        """Merge a latch into the store, durably; return the greater of the two."""
        with self._writer.writing(durable=True) as db:
            return _state.put_latch(db, latch)

    def rollout(self, route: str) -> RolloutRecord:
        """Return a route's record; revision 0 where there is none yet."""
        with self._reader.reading() as db:
            return _state.rollout(db, route)

    def rollouts(self) -> Mapping[str, RolloutRecord]:
        """Return all records, by route."""
        with self._reader.reading() as db:
            return _state.rollouts(db)

    def replace_rollout(self, record: RolloutRecord, *, lease: Lease | None) -> bool:
        """Replace the record whose revision is one less.

        False where another was first, or has taken the lease since.
        """
        with self._writer.writing(durable=True) as db:
            return _state.replace_rollout(db, record, lease=lease)

    def acquire(self, name: str, *, holder: str, ttl_s: float) -> Lease | None:
        """Take or renew a lease; None while another holder's has not expired."""
        now = self._now()
        with self._writer.writing(durable=True) as db:
            return _state.acquire(db, name, holder=holder, now=now, ttl_s=ttl_s)

    def beat(self, process: ProcessRecord) -> None:
        """Register a process or renew its heartbeat."""
        with self._writer.writing() as db:
            _state.beat(db, process)

    def processes(self, *, since: float) -> Sequence[ProcessRecord]:
        """Return processes with a heartbeat after `since`, Unix seconds."""
        with self._reader.reading() as db:
            return _state.processes(db, since=since)

    def leave(self, process_id: str) -> None:
        """Forget a process that ends in good order."""
        with self._writer.writing() as db:
            db.execute("DELETE FROM processes WHERE id = ?", (process_id,))

    def mirror(self, ledger: str, entries: Sequence[LedgerEntry]) -> None:
        """Keep copies, durably; those that are there already stay as they are."""
        if entries:
            with self._writer.writing(durable=True) as db:
                _entries.add(db, ledger, entries)

    def mirrored(self, ledger: str, *, after: int = 0) -> Sequence[LedgerEntry]:
        """Return the copies of entries with a greater number, oldest first."""
        with self._reader.reading() as db:
            return _entries.copies(db, ledger, after=after)

    def ledgers(self) -> Sequence[str]:
        """Return which ledgers there are copies of."""
        with self._reader.reading() as db:
            return _entries.ledgers(db)

    def post(self, notice: Notice) -> bool:
        """Keep a notice, durably; False where its id was there before.

        A settled one was there too, until it is pruned.
        """
        with self._reader.reading() as db:
            if _outbox.is_known(db, notice.id):
                return False
        with self._writer.writing(durable=True) as db:
            return _outbox.post(db, notice)

    def due(self, *, now: float) -> Sequence[Notice]:
        """Return the notices whose time to try has come, oldest first."""
        with self._reader.reading() as db:
            return _outbox.due(db, now=now)

    def settle(self, notice_id: str, *, retry_at: float | None) -> None:
        """Settle a notice that arrived, or name the time of the next try, durably."""
        now = self._now()
        with self._writer.writing(durable=True) as db:
            _outbox.settle(db, notice_id, retry_at=retry_at, now=now)

    def keep(self, point: CoursePoint) -> None:
        """Keep one point of an attempt's course."""
        with self._writer.writing() as db:
            _course.keep(db, point)

    def course(self, route: str, *, attempt: int) -> Sequence[CoursePoint]:
        """Return the points of an attempt, oldest first."""
        with self._reader.reading() as db:
            return _course.course(db, route, attempt=attempt)

    def close(self) -> None:
        """Release files and connections of this process; again is no error."""
        self._reader.close()
        self._writer.close()

    def _now(self) -> float:
        return self._clock.now().timestamp()
