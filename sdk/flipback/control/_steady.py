"""A wall clock that jumps cannot shorten a stage."""

from flipback.ports import Clock


class SteadyTime:
    """Unix seconds as they went by since this process started, or less.

    Where the wall clock was set forward the time that really went by counts; where it
    was set back, the wall clock: a stage may last longer, never shorter.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_by = clock.now().timestamp() - clock.monotonic()

    def now(self) -> float:
        """Return Unix seconds."""
        wall = self._clock.now().timestamp()
        return min(wall, self._clock.monotonic() + self._ahead_by)
