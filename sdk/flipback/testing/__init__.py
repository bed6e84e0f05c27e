"""What tests of flipback, and of everything plugged into it, are made of."""

from flipback.testing.clock import FakeClock
from flipback.testing.ledger import LedgerContract
from flipback.testing.store import StoreContract


__all__ = ["FakeClock", "LedgerContract", "StoreContract"]
