"""A thread that looks at something every 100 ms, and lives on in forked children."""

import logging
import os
import threading
import weakref
from collections.abc import Callable


INTERVAL_S = 0.1
_LOGGER = logging.getLogger("flipback.flagfile")

Wait = Callable[[threading.Event, float], bool]
"""Wait for the event or so many seconds; True once the watcher shall stop."""


class Watcher:
    """Calls `poll` until it is stopped, or its owner is no more.

    `poll` is a bound method, of which only a weak reference is kept.
    """

    def __init__(
        self, poll: Callable[[], object], *, wait: Wait = threading.Event.wait
    ) -> None:
        self._poll = weakref.WeakMethod(poll)
        self._wait = wait
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; nothing happens if it runs."""
        if self._thread is None:
            self._launch()
            _RUNNING.add(self)

    def stop(self) -> None:
        """Stop the thread and wait for a poll under way."""
        thread, self._thread = self._thread, None
        _RUNNING.discard(self)
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def relaunch(self) -> None:
        """Start the thread again where a fork has left only the object."""
        if self._thread is not None:
            self._launch()

    def _launch(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name="flipback-flagfile", daemon=True
        )
        self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        trouble = ""
        while not self._wait(stop, INTERVAL_S):
            poll = self._poll()
            if poll is None:
                return
            trouble = _looked(poll, before=trouble)
            del poll  # else the owner would live as long as this thread


def _looked(poll: Callable[[], object], *, before: str) -> str:
    """Look; return what went wrong, which is logged when it is new."""
    try:
        poll()
    except Exception as error:  # noqa: BLE001 - the thread must go on looking
        trouble = repr(error)
    else:
        return ""
    if trouble != before:
        _LOGGER.error("the flag file could not be looked at, trying on: %s", trouble)
    return trouble


_RUNNING: "weakref.WeakSet[Watcher]" = weakref.WeakSet()


def _after_fork() -> None:
    for watcher in list(_RUNNING):
        watcher.relaunch()


os.register_at_fork(after_in_child=_after_fork)
