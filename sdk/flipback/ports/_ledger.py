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
class LedgerNote:
    """Something to be remembered that is neither a kill nor a release.

    Attributes:
        kind: What was done.
        route: The route.
        at: When, for people.
        text: What and why, for people.
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
    text: str
    actor: str = ""
    attempt: int = 0
    stage: int | None = None
    before: str = ""
    after: str = ""
    findings: tuple[str, ...] = ()
    snapshot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger, chained to the one before by its hash.

    What `LedgerNote` has as well means the same here; its `text` is the `note`.
    """

    number: int
    kind: EntryKind
    at: str
    route: str
    latch: Latch | None
    note: str
    previous: str
    digest: str
    actor: str = ""
    attempt: int = 0
    stage: int | None = None
    before: str = ""
    after: str = ""
    findings: tuple[str, ...] = ()
    snapshot: str = ""


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
