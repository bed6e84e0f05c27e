"""The life of a router in one process: start late, obey, flush, stop, fork."""

import atexit
import logging
import os
import secrets
import socket
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto

from flipback.app._assembly import Assembly
from flipback.app._binding import bounded
from flipback.app._crashes import CrashWatch
from flipback.app._drill_watch import DrillWatch
from flipback.config import GuardRun
from flipback.control import Look, Repeater
from flipback.errors import LedgerError, StoreError
from flipback.latch import Latch
from flipback.ports import ProcessRecord
from flipback.telemetry import Gauges


logger = logging.getLogger("flipback")
PULSE_S = 0.15
PATIENCE_S = 0.1
_BEAT_S = 1.0
_STOP_S = 5.0
_DAY_S = 86_400.0
_RETRIED = timedelta(days=7)
_EVERY_EXPOSURE_UNTIL = 100


class _State(Enum):
    NEW = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPED = auto()
    FAILED = auto()


class Runtime:
    """Three threads: one obeys kills, one acknowledges them, one is for evidence.

    They are started by the first decision of a process, so that a router built
    before a fork works in every worker. A look may take long, and a write waits
    for other processes' writes; neither must keep this process from seeing a
    kill, so the thread that obeys only reads.
    """

    def __init__(self, assembly: Assembly, *, evaluates: bool = True) -> None:
        self._assembly = assembly
        self._evaluates = evaluates
        self._lock = threading.Lock()
        self._state = _State.NEW
        self._started = threading.Event()
        self._pruned_at: float | None = None
        self._acknowledged: Mapping[str, int] = {}
        self._guards = assembly.settings.guard.run is GuardRun.THREAD
        self._process = _identify(serves=evaluates)
        self._crashes = CrashWatch(assembly)
        self._drill = DrillWatch(assembly, told=self._wake_heart)
        self._pulse: Repeater | None = None
        self._heart: Repeater | None = None
        self._evidence: Repeater | None = None
        self._notices: Repeater | None = None
        self._gauges: Gauges | None = None
        _runtimes.add(self)

    @property
    def stopped(self) -> bool:
        """Return whether it was stopped, so that nothing is written any more."""
        return self._state is _State.STOPPED

    def ready(self) -> None:
        """Start on the first call, which waits a moment; control serves until then."""
        if self._state is _State.NEW and self._is_first():
            self._start_aside()
            self._started.wait(PATIENCE_S)

    def start(self) -> None:
        """Read the latches, bind the provider and start the threads; idempotent."""
        if self._is_first():
            self._start()
        self._started.wait(_STOP_S)

    def _start_aside(self) -> None:
        starting = threading.Thread(
            target=self._start, name="flipback-start", daemon=True
        )
        try:
            starting.start()
        except RuntimeError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Serve control for good: without threads nobody would see a kill."""
        self._note("not started, so control serves", error)
        self._assembly.killswitch.stop()
        with self._lock:
            self._state = _State.FAILED
        for repeater in self._repeaters():
            repeater.stop(timeout_s=0.0)
        self._started.set()

    def _is_first(self) -> bool:
        with self._lock:
            first = self._state is _State.NEW
            if first:
                self._state = _State.STARTING
        return first

    def _start(self) -> None:
        try:
            assembly = self._assembly
            if self._evaluates:
                assembly.binding.start(lambda error: self._note("flag provider", error))
            bounded(self._read_store)
            self._crashes.open(self._process.id)
            # A process that dies in its first call never comes to a look of its own.
            bounded(self._gather)
            self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is, control serves
            self._give_up(error)
        self._started.set()

    def _run(self) -> None:
        with self._lock:
            if self._state is not _State.STARTING:
                return
            self._state = _State.RUNNING
            self._pulse = self._repeater("pulse", self._obey, PULSE_S)
            self._heart = self._repeater("heart", self._beat, _BEAT_S)
            self._evidence = self._repeater("evidence", self._gather, self._period())
            self._notices = self._repeater(
                "notices", self._assembly.notifier.deliver, _BEAT_S
            )
            for repeater in self._repeaters():
                repeater.start()
            self._gauges = self._measured()

    def stop(self) -> None:
        """Flush and let go of everything; from now on control serves."""
        if self._state is _State.STARTING:
            self._started.wait(_STOP_S)
        with self._lock:
            before, self._state = self._state, _State.STOPPED
        self._started.set()
        if before is _State.STOPPED:
            return
        for repeater in self._repeaters():
            repeater.stop()
        if self._gauges is not None:
            self._gauges.close()
        self._assembly.notifier.stop()
        self._drill.stop()
        self._assembly.shadows.stop()
        self._assembly.killswitch.stop()
        self._assembly.flusher.flush()
        if before in {_State.RUNNING, _State.FAILED}:
            self._crashes.close()
            self._leave()
            if self._evaluates:
                self._assembly.binding.stop(
                    lambda error: self._note("flag provider", error)
                )
        self._assembly.ground.store.close()

    def step(self) -> tuple[Look, ...]:
        """Look once, and let the plans move their rollouts; for who drives this."""
        self._guards = self._assembly.ground.writer is not None
        looks = self._assembly.guard.look()
        self._assembly.controller.step(looks)
        self._assembly.killswitch.resume(waits=True)
        return looks

    def flush(self) -> bool:
        """Write what was counted, and take over what others have frozen."""
        flushed = self._assembly.flusher.flush()
        if not self.stopped:
            self._assembly.guard.catch_up()
        return flushed

    def due(self, candidate_exposures: int) -> None:
        """Wake the evaluator when the plan's number of exposures has been reached."""
        every = self._assembly.settings.guard.every_exposures
        early = candidate_exposures <= _EVERY_EXPOSURE_UNTIL
        if (early or candidate_exposures % every == 0) and self._evidence is not None:
            self._evidence.wake()

    def after_fork(self) -> None:
        """Begin anew in the child: threads, counts and locks belong to the parent."""
        self._lock = threading.Lock()
        if self._state is not _State.STOPPED:
            self._state = _State.NEW
        self._started = threading.Event()
        self._process = _identify(serves=self._evaluates)
        self._acknowledged = {}
        self._guards = self._assembly.settings.guard.run is GuardRun.THREAD
        self._pulse = self._heart = self._evidence = self._notices = None
        self._crashes.after_fork()
        self._drill.after_fork()
        self._assembly.after_fork(self._process.id)

    def _repeaters(self) -> tuple[Repeater, ...]:
        """Return those that exist; who obeys is stopped last."""
        known = (self._evidence, self._notices, self._heart, self._pulse)
        return tuple(filter(None, known))

    def _measured(self) -> Gauges:
        switch = self._assembly.killswitch
        return Gauges(
            latches=switch.latches,
            rollouts=switch.rollouts,
            faults=self._assembly.ground.faults.counts,
        )

    def _repeater(
        self, name: str, step: Callable[[], object], period_s: float
    ) -> Repeater:
        return Repeater(
            f"flipback-{name}",
            step,
            period_s=period_s,
            failed=lambda error: self._note(name, error),
        )

    def _period(self) -> float:
        guard = self._assembly.settings.guard
        return min(guard.flush, guard.every).total_seconds()

    def _read_store(self) -> None:
        """Read what decisions are made with: latches, and the key of the hashes."""
        self._assembly.killswitch.refresh()
        self._load_secret()
        try:
            is_new = self._assembly.ground.ledger.prepare()
        except LedgerError as error:
            self._note("ledger not writable, so a kill would not be durable", error)
            return
        if is_new and not any(self._obeyed().values()):
            with suppress(Exception):  # a filter of the application may raise
                logger.warning(
                    "no kill is known, neither in a ledger at %s nor in the store: "
                    "a fresh start; if there were kills before, put the ledger back",
                    self._assembly.settings.ledger,
                )

    def _obey(self) -> None:
        """Obey what ledger, store and break-glass say; write nothing."""
        self._assembly.killswitch.refresh()
        if self._obeyed() != self._acknowledged:
            self._wake_heart()
        self._assembly.shadows.tend()
        self._drill.follow()

    def _wake_heart(self) -> None:
        if self._heart is not None:
            self._heart.wake()

    def _beat(self) -> None:
        """Acknowledge what is obeyed, and deliver what others left undone."""
        self._load_secret()
        trips, news = self._obeyed(), self._drill.news
        seen_at = self._assembly.ground.clock.now().timestamp()
        try:
            self._assembly.ground.store.beat(
                replace(
                    self._process,
                    seen_at=seen_at,
                    trips=trips,
                    obeyed_at=news.obeyed_at,
                    drill=news.drill,
                    guards=self._guards and not self._assembly.settings.guard.dry_run,
                    leads=self._assembly.controller.leads,
                )
            )
        except StoreError as error:
            self._note("heartbeat not written", error)
        else:
            self._acknowledged = trips
        self._assembly.killswitch.resume()
        self._assembly.notifier.remind(self._held())
        self._assembly.mirror.copy()

    def _held(self) -> tuple[Latch, ...]:
        latches = self._assembly.killswitch.latches()
        return tuple(latch for latch in latches if latch.held)

    def _obeyed(self) -> Mapping[str, int]:
        return self._assembly.killswitch.trips()

    def _load_secret(self) -> None:
        try:
            self._assembly.secret.load()
        except StoreError as error:
            self._note("secret unreadable", error)

    def _gather(self) -> None:
        """Bring evidence in and look at it; what the dead left comes with the next."""
        self._crashes.book()
        if self._assembly.settings.guard.run is GuardRun.THREAD:
            self._assembly.controller.step(self._assembly.guard.watch())
        else:
            self.flush()
        self._prune()

    def _prune(self) -> None:
        """Forget once a day what nobody may still retry."""
        clock = self._assembly.ground.clock
        now = clock.monotonic()
        if self._pruned_at is not None and now - self._pruned_at < _DAY_S:
            return
        self._pruned_at = now
        before = (clock.now() - _RETRIED).timestamp()
        try:
            self._assembly.ground.store.prune(before=before)
        except StoreError as error:
            self._note("store not pruned", error)

    def _leave(self) -> None:
        try:
            self._assembly.ground.store.leave(self._process.id)
        except StoreError as error:
            self._note("still registered", error)

    def _note(self, what: str, error: Exception) -> None:
        self._assembly.ground.faults.note("*", what, error)


def _identify(*, serves: bool) -> ProcessRecord:
    host, pid = socket.gethostname(), os.getpid()
    name = f"{host}:{pid}:{secrets.token_hex(4)}"
    return ProcessRecord(id=name, host=host, pid=pid, seen_at=0.0, serves=serves)


_runtimes: "weakref.WeakSet[Runtime]" = weakref.WeakSet()


def _after_fork() -> None:
    for runtime in tuple(_runtimes):
        runtime.after_fork()


def _at_exit() -> None:
    for runtime in tuple(_runtimes):
        runtime.stop()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
