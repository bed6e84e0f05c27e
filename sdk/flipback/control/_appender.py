"""Append kills to the ledger without waiting for a slow disk."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from flipback.errors import LedgerError
from flipback.latch import Latch
from flipback.ports import Intent, Ledger


PATIENCE_S = 0.1
_Key = tuple[str, str]


class Appender:
    """Appends each kill once, and waits a tenth of a second for it at most.

    An append that takes longer goes on in a thread of its own. Whoever asks for
    the same kill again meets that one, so a hanging disk costs one thread per kill
    and not one per attempt; and it is a daemon, so the process can still end.
    """

    def __init__(self, ledger: Ledger, *, patience_s: float = PATIENCE_S) -> None:
        self._ledger = ledger
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._under_way: dict[_Key, Future[Latch]] = {}

    def append(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        """Return the latch that the ledger has now.

        Args:
            route: What to kill.
            intent: Who and why.
            at: When, for people.
            floor: The greatest latch known elsewhere.

        Raises:
            LedgerError: It failed, or it is not done yet.
        """
        key = (route, intent.id)
        with self._lock:
            waiting = self._under_way.get(key)
            patience_s = self._patience_s if waiting is None else 0.0
            if waiting is None:
                waiting = self._under_way[key] = _begun(
                    lambda: self._ledger.kill(route, intent=intent, at=at, floor=floor)
                )
        try:
            return waiting.result(patience_s)
        except LedgerError:
            raise
        except TimeoutError as error:
            raise LedgerError(
                "the ledger is slow; the append is still under way"
            ) from error
        except Exception as error:  # a kill survives a bug of the ledger
            raise LedgerError(f"the ledger failed: {error!r}") from error
        finally:
            self._forget(key, waiting)

    def after_fork(self) -> None:
        """Forget appends whose threads are the parent's."""
        self._lock = threading.Lock()
        self._under_way = {}

    def _forget(self, key: _Key, waiting: Future[Latch]) -> None:
        if waiting.done():
            with self._lock:
                self._under_way.pop(key, None)


def _begun(act: Callable[[], Latch]) -> Future[Latch]:
    future: Future[Latch] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="flipback-ledger", daemon=True).start()
    return future
