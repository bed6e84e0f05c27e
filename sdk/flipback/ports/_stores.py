"""Where evidence, state and the processes of all meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flipback.exposure import Batch, Evidence
from flipback.histogram import Thresholds
from flipback.latch import Latch
from flipback.ports._clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """Where a rollout stands; replaced by compare-and-set on `revision`."""

    route: str
    revision: int = 0
    attempt: int = 1
    stage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A running process and the kills that it has acknowledged.

    Attributes:
        id: Unique among processes, a restarted one gets a new id.
        host: Host name; only processes of one host share an embedded store.
        pid: Process id on that host.
        seen_at: Unix seconds of the last heartbeat.
        trips: Route to the trip that this process obeys.
    """

    id: str
    host: str
    pid: int
    seen_at: float
    trips: Mapping[str, int] = field(default_factory=dict[str, int])


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

    def prune(self, *, before: float) -> int:
        """Forget sequence numbers and receipt keys that expired, Unix seconds."""
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


class Store(EvidenceStore, StateStore, ProcessRegistry, Protocol):
    """The three as one, as an entry point in `flipback.stores` returns it."""


class OpenStore(Protocol):
    """What an entry point in `flipback.stores` is."""

    def __call__(self, location: str, *, base: str, clock: Clock) -> Store:
        """Open the store at `location`; relative paths start at folder `base`."""
        ...
