"""The append-only history of one host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from flipback.latch import Latch
from flipback.ports._flags import Intent


class EntryKind(StrEnum):
    """What a ledger entry records."""

    KILL = "kill"
    RELEASE = "release"
    FLAG_WRITE = "flag_write"
    EPOCH = "epoch"
    START = "start"
    ADVANCE = "advance"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    RESTORE = "restore"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a note and an entry of the ledger have in common.

    Attributes:
        kind: What was done.
        route: The route.
        at: When, for people.
        actor: Who did it.
        attempt: Which run of the rollout, 0 where none is meant.
        stage: Index of the stage that was come to, None where none is meant.
        before: Version of the flag before, empty where it was not written.
        after: Version of the flag after.
        findings: On which findings, a sentence each.
        snapshot: The flag before it was written (`FlagState.raw`), for `restore`.
    """

    kind: EntryKind
    route: str
    at: str
    actor: str = ""
    attempt: int = 0
    stage: int | None = None
    before: str = ""
    after: str = ""
    findings: tuple[str, ...] = ()
    snapshot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNote(Remembered):
    """Something to be remembered that is neither a kill nor a release.

    Attributes:
        text: What and why, for people.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry(Remembered):
    """One line of the ledger, chained to the one before by its hash.

    Attributes:
        number: Its place, from 1.
        latch: What a kill or a release left, None for all else.
        note: What and why, for people.
        previous: Digest of the entry before, empty for the first.
        digest: Of this one.
    """

    number: int
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

    def note(self, note: LedgerNote) -> None:
        """Durably append anything else that people should find later."""
        ...

    def latches(self) -> Mapping[str, Latch]:
        """Return every route's latch as this ledger has it."""
        ...

    def entries(self) -> Sequence[LedgerEntry]:
        """Return all entries, oldest first."""
        ...
