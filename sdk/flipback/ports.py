"""What the library needs of the world: six small promises.

Behaviour that a signature cannot state is stated by the contract tests in
`flipback.testing`; every implementation runs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from openfeature.provider import FeatureProvider

from flipback.exposure import Batch, Evidence
from flipback.latch import Latch


SCALE = 100_000
"""Weights of a split are in 1/1000 percent; a split sums to SCALE exactly."""


class Clock(Protocol):
    """The time, taken as an argument so that tests need not wait."""

    def now(self) -> datetime:
        """Return the wall clock in UTC; for people and expiry, never for order."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for durations."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRef:
    """One flag, or with `rule` one rule of it, in one environment of a service."""

    key: str
    environment: str = ""
    project: str = ""
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An opaque version: good for equality, never for order."""

    token: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagState:
    """A flag as its service has it now.

    Attributes:
        ref: What was read.
        enabled: False where the service would hand out the caller's default.
        variants: Variant name to the value that it hands out.
        split: Variant name to weight (sums to SCALE) of the managed split; empty
            where the flag has none.
        default_variant: Variant served where no split or rule decides.
        version: Compare-and-set token of this state.
        exceptions: Rules and pins that do not follow the split, for people.
        raw: The flag as the service spells it (JSON text), for `restore`.
    """

    ref: FlagRef
    enabled: bool
    variants: Mapping[str, object]
    split: Mapping[str, int]
    default_variant: str | None
    version: Version
    exceptions: tuple[str, ...] = ()
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Why a write is made; its id makes a replay recognisable.

    Attributes:
        id: The same for every retry of the same act.
        actor: Who wants it: a person's name, or the evaluator.
        reason: Why, for the service's audit log.
    """

    id: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChange:
    """What a write did.

    Attributes:
        intent: Why it was made.
        before: Version before.
        after: Version after.
        changed: False where the flag already was as wanted.
        raced: Another writer may have been overwritten.
        snapshot: The flag before the write, for `restore`.
    """

    intent: Intent
    before: Version
    after: Version
    changed: bool
    raced: bool = False
    snapshot: FlagState | None = None


class CompareAndSet(StrEnum):
    """How well a service can refuse a write that is based on an old state."""

    ATOMIC = "atomic"
    GUARDED = "guarded"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a flag service can do, so that nobody has to guess."""

    cas: CompareAndSet
    kill_covers: frozenset[str] = frozenset({"default", "rules", "targets"})
    comments: bool = False
    history: bool = False
    approvals_possible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightIssue:
    """Something that would keep a flag from being killed or ramped as planned."""

    problem: str
    remedy: str
    blocks: bool = True


class FlagWriter(Protocol):
    """Write access to one flag service. OpenFeature itself only reads.

    The safe direction (`kill`) is unconditional and idempotent; the unsafe one
    (`set_split`, `restore`) is compare-and-set. All raise `FlagWriteError`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Return what this service can do."""
        ...

    def preflight(self, ref: FlagRef, *, control: str) -> Sequence[PreflightIssue]:
        """Return what stands in the way of managing this flag; nothing is changed."""
        ...

    def read(self, ref: FlagRef) -> FlagState:
        """Return the flag's state, read from the service itself and never cached."""
        ...

    def set_split(
        self,
        ref: FlagRef,
        split: Mapping[str, int],
        *,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        """Set the managed split; a state other than `expect` is a CONFLICT."""
        ...

    def kill(self, ref: FlagRef, *, control: str, intent: Intent) -> FlagChange:
        """Make control explicit for everybody: default, rules and pinned users."""
        ...

    def restore(
        self,
        snapshot: FlagState,
        *,
        expect: Version,
        intent: Intent,
        without: str | None = None,
    ) -> FlagChange:
        """Put a snapshot back; `without` names a variant to leave at weight 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagService:
    """A flag service as the composition root needs it.

    Attributes:
        provider: Reads flags through OpenFeature.
        writer: Writes them back; None where nothing can (kills stay local).
        version: Version of the evaluation code, part of every epoch: an upgrade
            may re-bucket users.
        reveals_rules: Whether evaluations name the rule and say SPLIT.
    """

    provider: FeatureProvider
    writer: FlagWriter | None
    version: str
    reveals_rules: bool = False


class OpenFlagService(Protocol):
    """What an entry point in `flipback.flag_services` is."""

    def __call__(self, location: str, *, base: str) -> FlagService:
        """Open the service at `location`; relative paths start at folder `base`."""
        ...


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


class EntryKind(StrEnum):
    """What a ledger entry records."""

    KILL = "kill"
    RELEASE = "release"
    FLAG_WRITE = "flag_write"
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger, chained to the one before by its hash."""

    number: int
    kind: EntryKind
    at: str
    route: str
    latch: Latch | None
    note: str
    previous: str
    digest: str


class Ledger(Protocol):
    """Append-only history of one host. Methods raise `LedgerError`."""

    def prepare(self) -> bool:
        """Make room for a kill before there is need; return whether it was new."""
        ...

    def kill(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        """Durably append one more kill after `floor`; the same intent is one trip."""
        ...

    def release(self, latch: Latch) -> None:
        """Durably append a release."""
        ...

    def note(self, kind: EntryKind, route: str, *, text: str, at: str) -> None:
        """Durably append anything else that people should find later."""
        ...

    def latches(self) -> Mapping[str, Latch]:
        """Return every route's latch as this ledger has it."""
        ...

    def entries(self) -> Sequence[LedgerEntry]:
        """Return all entries, oldest first."""
        ...
