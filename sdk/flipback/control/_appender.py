"""Append to the ledger without waiting for a slow disk."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from flipback.errors import LedgerError
from flipback.latch import Latch
from flipback.ports import Intent, Ledger, LedgerNote


PATIENCE_S = 0.1
_T = TypeVar("_T")
_Key = tuple[str, str]


class Appender:
    """Appends each thing once, and waits a tenth of a second for it at most.

    An append that takes longer goes on in a thread of its own. Whoever asks for
    the same one again meets it, so a hanging disk costs one thread per kill or note
    and not one per attempt; and it is a daemon, so the process can still end.
    """

    def __init__(self, ledger: Ledger, *, patience_s: float = PATIENCE_S) -> None:
        self._ledger = ledger
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._kills: dict[_Key, Future[Latch]] = {}
        self._notes: dict[_Key, Future[None]] = {}

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
        return self._finished(
            self._kills,
            (route, intent.id),
            lambda: self._ledger.kill(route, intent=intent, at=at, floor=floor),
        )

    def note(self, note: LedgerNote) -> None:
        """Append a note; of two that say the same of a route, one at a time.

        Raises:
            LedgerError: It failed, or it is not done yet.
        """
        self._finished(
            self._notes, (note.route, note.text), lambda: self._ledger.note(note)
        )

    def after_fork(self) -> None:
        """Forget appends whose threads are the parent's."""
        self._lock = threading.Lock()
        self._kills = {}
        self._notes = {}

    def _finished(
        self,
        under_way: dict[_Key, Future[_T]],
        key: _Key,
        act: Callable[[], _T],
    ) -> _T:
        with self._lock:
            waiting = under_way.get(key)
            patience_s = self._patience_s if waiting is None else 0.0
            if waiting is None:
                waiting = under_way[key] = _begun(act)
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
            if waiting.done():
                with self._lock:
                    under_way.pop(key, None)


def _begun(act: Callable[[], _T]) -> Future[_T]:
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="flipback-ledger", daemon=True).start()
    return future
