"""The time, as an argument."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, taken as an argument so that tests need not wait."""

    def now(self) -> datetime:
        """Return the wall clock in UTC; for people and expiry, never for order."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for durations."""
        ...
