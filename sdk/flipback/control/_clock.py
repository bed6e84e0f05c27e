"""The real time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of this machine; everything else takes one as an argument."""

    def now(self) -> datetime:
        """Return the wall clock in UTC; it may jump, backwards too."""
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock

    monotonic = staticmethod(time.perf_counter)
    """Seconds that never run backwards; without a frame of its own, being hot."""
