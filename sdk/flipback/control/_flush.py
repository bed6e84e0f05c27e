"""Carry counted evidence to the store, exactly once."""

import threading

from flipback.control._shares import Shares
from flipback.exposure import Batch
from flipback.ports import EvidenceStore
from flipback.routing import Faults, Recorder


class Flusher:
    """Keeps a batch until the store has it; a repeated batch is recognised there.

    While the store is down, one batch waits and new observations gather in the
    recorder's cells, so memory grows with the number of cells, not of calls.
    """

    def __init__(
        self,
        recorder: Recorder,
        store: EvidenceStore,
        faults: Faults,
        shares: Shares,
    ) -> None:
        self._shares = shares
        self._recorder = recorder
        self._store = store
        self._faults = faults
        self._lock = threading.Lock()
        self._waiting: Batch | None = None

    def flush(self) -> bool:
        """Write everything counted so far; False if the store did not take it."""
        with self._lock:
            self._recorder.fold()
            return self._send() and self._take() and self._send()

    def after_fork(self) -> None:
        """Forget what the parent had taken; the parent flushes it."""
        self._lock = threading.Lock()
        self._waiting = None

    def _take(self) -> bool:
        batch = self._recorder.drain()
        if batch is not None:
            epochs = batch.epochs.items()
            batch.epochs = {e: self._shares.added(epoch) for e, epoch in epochs}
        self._waiting = batch
        return True

    def _send(self) -> bool:
        if self._waiting is None:
            return True
        try:
            self._store.flush(self._waiting)
        except Exception as error:  # noqa: BLE001 - other people's stores raise others
            self._faults.note("*", "evidence waits in memory", error)
            return False
        self._waiting = None
        return True
