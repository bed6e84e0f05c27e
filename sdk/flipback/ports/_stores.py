"""Where evidence, state and the processes of all meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flipback.course import CoursePoint
from flipback.exposure import Batch, Evidence
from flipback.histogram import Thresholds
from flipback.latch import Latch
from flipback.ports._clock import Clock
from flipback.ports._ledger import LedgerEntry
from flipback.rollout import RolloutRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A running process and the kills that it has acknowledged.

    Attributes:
        id: Unique among processes, a restarted one gets a new id.
        host: Host name; only processes of one host share an embedded store.
        pid: Process id on that host.
        seen_at: Unix seconds of the last heartbeat.
        trips: Route to the trip that this process obeys; a cohort's latch by its name.
        obeyed_at: Route to the Unix seconds at which this process first served control
            under that trip, as found out by deciding.
        drill: The drill that this process takes part in, empty for none.
        serves: It serves calls, rather than only guarding those that do.
        guards: It looks at evidence and may act on it.
        leads: Routes whose rollouts it moves now.
    """

    id: str
    host: str
    pid: int
    seen_at: float
    trips: Mapping[str, int] = field(default_factory=dict[str, int])
    obeyed_at: Mapping[str, float] = field(default_factory=dict[str, float])
    drill: str = ""
    serves: bool = True
    guards: bool = False
    leads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that people are to be told, once for each way to tell them.

    Attributes:
        id: The same for every retry of telling the same thing the same way.
        target: Which of the ways; its place in the configuration, from 0.
        event: What happened; see `flipback.config.NotifyOn`.
        route: The route that it is about.
        at: When, Unix seconds.
        body: What is told, as JSON.
        attempts: How often telling it has failed.
        next_at: When to try next, Unix seconds.
    """

    id: str
    target: int
    event: str
    route: str
    at: float
    body: str
    attempts: int = 0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a store has forgotten, and the room that it takes.

    Attributes:
        receipts: Receipt keys that have expired.
        writers: Writers that were not heard of since.
        processes: Likewise processes, which ended without leaving.
        notices: Notices that were settled.
        attempts: Attempts whose evidence and course are forgotten.
        rows: Rows of their evidence and course.
        size_before: Bytes that the store took, None where it cannot tell.
        size_after: Bytes that it takes now.
        kept: Why it takes more room than it needs, for people; empty if it does not.
    """

    receipts: int = 0
    writers: int = 0
    processes: int = 0
    notices: int = 0
    attempts: int = 0
    rows: int = 0
    size_before: int | None = None
    size_after: int | None = None
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to ramp, fenced: a store refuses writes with an older fence."""

    name: str
    holder: str
    fence: int


class EvidenceStore(Protocol):
    """Where evidence of all processes meets. All raise `StoreError`."""

    def flush(self, batch: Batch) -> bool:
        """Add a batch exactly once; return False if it was there already.

        Exactly once per (writer, sequence), whatever is retried or killed.
        """
        ...

    def evidence(
        self, route: str, *, attempt: int, trip: int, comparison: str | None = None
    ) -> Evidence:
        """Return what was observed since that trip in that attempt.

        Args:
            route: The route.
            attempt: Which run of its rollout.
            trip: The kill after which it was observed, 0 before the first.
            comparison: `Epoch.comparison` of what is compared; None for the one
                that was flushed to last.
        """
        ...

    def freeze(self, route: str, comparison: str, thresholds: Thresholds) -> Thresholds:
        """Freeze percentiles for a comparison, the first of each metric for good.

        Returns all that are frozen for it, so that all processes have the same;
        with nothing to freeze it only reads.
        """
        ...

    def secret(self) -> bytes:
        """Return the key that this store keeps for receipts and subject hashes."""
        ...

    def prune(self, *, before: float, thorough: bool = False) -> Pruned:
        """Forget receipt keys that expired, and writers and processes not seen since.

        Args:
            before: Unix seconds.
            thorough: Forget notices that were settled before as well, and evidence and
                course of attempts that ended before, but for the last two of a route;
                then give room back, as far as nobody has to wait for it.
        """
        ...

    def close(self) -> None:
        """Release files and connections of this process."""
        ...


class StateStore(Protocol):
    """Where latches and rollout records of all processes meet."""

    def latches(self) -> Mapping[str, Latch]:
        """Return every route's latch."""
        ...

    def put_latch(self, latch: Latch) -> Latch:
        """Merge a latch into the store; return the greater of the two."""
        ...

    def rollout(self, route: str) -> RolloutRecord:
        """Return a route's record; revision 0 where there is none yet."""
        ...

    def rollouts(self) -> Mapping[str, RolloutRecord]:
        """Return all records, by route."""
        ...

    def replace_rollout(self, record: RolloutRecord, *, lease: Lease | None) -> bool:
        """Replace the record whose revision is one less; False if another was first."""
        ...

    def acquire(self, name: str, *, holder: str, ttl_s: float) -> Lease | None:
        """Take or renew a lease; None while another holder's has not expired."""
        ...


class ProcessRegistry(Protocol):
    """Who runs: so that a kill can say who has obeyed it."""

    def beat(self, process: ProcessRecord) -> None:
        """Register a process or renew its heartbeat."""
        ...

    def processes(self, *, since: float) -> Sequence[ProcessRecord]:
        """Return processes with a heartbeat after `since`, Unix seconds."""
        ...

    def leave(self, process_id: str) -> None:
        """Forget a process that ends in good order."""
        ...


class LedgerMirror(Protocol):
    """Copies of the ledgers of all hosts: what one of them lost is found here."""

    def mirror(self, ledger: str, entries: Sequence[LedgerEntry]) -> None:
        """Keep copies of these entries; those that are there already stay as they are.

        Args:
            ledger: Which ledger, as `host:path`.
            entries: Its entries, or the latest of them.
        """
        ...

    def mirrored(self, ledger: str, *, after: int = 0) -> Sequence[LedgerEntry]:
        """Return the copies of entries with a greater number, oldest first."""
        ...

    def ledgers(self) -> Sequence[str]:
        """Return which ledgers there are copies of."""
        ...


class Outbox(Protocol):
    """What people are still to be told."""

    def post(self, notice: Notice) -> bool:
        """Keep a notice until it is settled; False where its id was there before."""
        ...

    def due(self, *, now: float) -> Sequence[Notice]:
        """Return the notices whose time to try has come, oldest first."""
        ...

    def settle(self, notice_id: str, *, retry_at: float | None) -> None:
        """Settle a notice that arrived, or name the time of the next try."""
        ...


class CourseBook(Protocol):
    """The course of each attempt, point by point, for reports."""

    def keep(self, point: CoursePoint) -> None:
        """Keep one point; of many the older ones are thinned out, evenly."""
        ...

    def course(self, route: str, *, attempt: int) -> Sequence[CoursePoint]:
        """Return the points of an attempt, oldest first."""
        ...


class Store(
    EvidenceStore,
    StateStore,
    ProcessRegistry,
    LedgerMirror,
    Outbox,
    CourseBook,
    Protocol,
):
    """All of them as one, as an entry point in `flipback.stores` returns it."""


class OpenStore(Protocol):
    """What an entry point in `flipback.stores` is."""

    def __call__(self, location: str, *, base: str, clock: Clock) -> Store:
        """Open the store at `location`; relative paths start at folder `base`."""
        ...
