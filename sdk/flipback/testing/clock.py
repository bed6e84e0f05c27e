"""A clock that moves only when told."""

from datetime import UTC, datetime, timedelta


START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A `Clock` for tests: time stands still until `advance`.

    >>> clock = FakeClock()
    >>> clock.advance(90)
    >>> clock.now().isoformat()
    '2026-01-01T00:01:30+00:00'
    >>> clock.monotonic()
    90.0
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed_s = 0.0

    def now(self) -> datetime:
        """Return the start plus all that has been advanced, in UTC."""
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return the seconds that have been advanced."""
        return self._passed_s

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass; a negative number is refused.

        Raises:
            ValueError: Time would run backwards.
        """
        if seconds < 0:
            raise ValueError(f"time cannot run backwards by {-seconds} s")
        self._passed_s += seconds
