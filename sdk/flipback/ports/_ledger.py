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
