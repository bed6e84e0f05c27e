"""A background thread that does one thing again and again."""

import threading
from collections.abc import Callable


STOP_TIMEOUT_S = 5.0
"""How long to wait for a step under way, which a locked store may hold up."""


class Repeater:
    """Runs `step` every `period_s` seconds, or as soon as it is woken.

    What `step` raises goes to `failed`; the thread goes on, because a kill that
    arrives after a fault must still be obeyed.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        *,
        period_s: float,
        failed: Callable[[Exception], object],
    ) -> None:
        self._step = step
        self._period_s = period_s
        self._failed = failed
        self._woken = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Run the next step now instead of at the end of the period."""
        self._woken.set()

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop after the step under way, and wait for that.

        Args:
            timeout_s: How long to wait; the thread of a step that takes longer
                ends with the step, or with the process.
        """
        self._stopped = True
        self._woken.set()
        if self._thread is not threading.current_thread() and self._thread.ident:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - the next step may succeed
                self._failed(error)
            self._woken.wait(self._period_s)
            self._woken.clear()
