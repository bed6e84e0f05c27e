"""What a kill has reached."""

from dataclasses import dataclass
from enum import StrEnum

from flipback.latch import Latch
from flipback.ports import FlagChange


class Delivered(StrEnum):
    """How far a kill has come in the flag service."""

    APPLIED = "applied"
    PENDING = "pending"
    BLOCKED = "blocked"
    NO_WRITER = "no writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What a kill reached. Control is served locally whatever it says.

    Attributes:
        latch: The latch that is held now.
        durable: The ledger has it on disk.
        stored: The store has it, so the host's other processes see it.
        flag: How far it came in the flag service.
        problem: What is still missing, for people; empty if nothing.
        processes: Processes of this host that run the route.
        acknowledged: Those of them that obey this kill already.
        findings: On which findings it was made, for the ledger.
        written: What it did to the flag, None if nothing is known of that.
        noted: The ledger has it that the flag was reached.
        rest_s: How long the flag service asked to be left alone, in seconds.
    """

    latch: Latch
    durable: bool
    stored: bool
    flag: Delivered
    problem: str = ""
    processes: int = 0
    acknowledged: int = 0
    findings: tuple[str, ...] = ()
    written: FlagChange | None = None
    noted: bool = False
    rest_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to deliver."""
        done = self.flag in {Delivered.APPLIED, Delivered.NO_WRITER}
        return self.durable and self.stored and done

    @property
    def settled(self) -> bool:
        """Return whether the ledger tells all of it, too."""
        return self.complete and (self.noted or self.flag is Delivered.NO_WRITER)
