"""The machine's own clock, for a service that is opened without another one."""

import time
from datetime import UTC, datetime

from typing_extensions import override

from flipback.ports import Clock


class MachineClock(Clock):
    """The clocks of the operating system."""

    @override
    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time_ns() / 1e9, tz=UTC)

    @override
    def monotonic(self) -> float:
        return time.monotonic()
