"""One drill at a time, however many people ask for one."""

import threading

from flipback.errors import StoreError
from flipback.ports import Clock, StateStore


_NAME = "drill"
_TTL_S = 3.0
_RENEW_S = 0.5
_PAUSE_S = 0.1


class DrillLease:
    """The right to make drills; it lapses by itself seconds after its holder died.

    Args:
        store: Where all that could make drills meet.
        clock: Tells when it is to be renewed.
        holder: Unique among all of them.
    """

    def __init__(self, store: StateStore, clock: Clock, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._renewed_at = float("-inf")
        self.is_held = False

    def take(self) -> bool:
        """Take it, waiting as long as that of a holder who died would last."""
        until = self._clock.monotonic() + _TTL_S + _RENEW_S
        pause = threading.Event()
        while not self._acquired() and self._clock.monotonic() < until:
            pause.wait(_PAUSE_S)
        return self.is_held

    def renew(self) -> None:
        """Renew it, if it is time to.

        Raises:
            StoreError: Somebody else has taken it meanwhile, or the store is down.
        """
        if self._clock.monotonic() - self._renewed_at < _RENEW_S:
            return
        if not self._acquired():
            raise StoreError(
                "the drill took so long between two steps that another one has taken "
                "over; see that the store answers, and drill again"
            )

    def give_back(self) -> None:
        """Let the next drill begin at once."""
        if self.is_held:
            self._store.acquire(_NAME, holder=self._holder, ttl_s=0.0)

    def _acquired(self) -> bool:
        lease = self._store.acquire(_NAME, holder=self._holder, ttl_s=_TTL_S)
        self._renewed_at = self._clock.monotonic()
        self.is_held = lease is not None
        return self.is_held
