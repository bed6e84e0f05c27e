"""What all of control stands on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flipback.control._told import Told
from flipback.errors import StoreError
from flipback.latch import Latch, merge_all
from flipback.plan import RolloutPlan
from flipback.ports import Clock, FlagWriter, Ledger, Store
from flipback.routing import Faults
from flipback.telemetry import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all of control stands on; built by the composition root.

    Attributes:
        plans: The plans, by route.
        store: Where processes meet.
        ledger: The history of this host.
        writer: Writes flags back; None where nothing can, or another process does.
        events: What is logged.
        faults: What went wrong.
        clock: The time.
        tell: Tells people; never raises and never waits.
    """

    plans: Mapping[str, RolloutPlan]
    store: Store
    ledger: Ledger
    writer: FlagWriter | None
    events: EventLog
    faults: Faults
    clock: Clock
    tell: Callable[[Told], object] = lambda told: None  # noqa: ARG005 - to nobody

    def newest_latch(self, name: str) -> Latch:
        """Return the greatest copy in ledger and store, read now.

        Raises:
            LedgerError: The ledger cannot be read, so a kill may be in it.
            StoreError: Likewise the store.
        """
        copies = (self.ledger.latches().get(name), self.store.latches().get(name))
        return merge_all(name, filter(None, copies))

    def known_latch(self, name: str) -> Latch:
        """Return the greatest copy that can be read; a store that is down has none.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        try:
            return self.newest_latch(name)
        except StoreError as error:
            self.faults.note(name, "store unreadable", error)
            return merge_all(name, filter(None, [self.ledger.latches().get(name)]))
