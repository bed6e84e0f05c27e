"""The real time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of this machine; everything else takes one as an argument."""

    def now(self) -> datetime:
        """Return the wall clock in UTC; it may jump, backwards too."""
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.perf_counter()
