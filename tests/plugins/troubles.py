"""Ledgers, stores and flag writers as they are on a bad day; each is a real one."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typing_extensions import override

from flipback.app._assembly import forced, lay_ground
from flipback.config import Settings, load_settings
from flipback.control import Ground, KillSwitch, SystemClock
from flipback.errors import FlagProblem, FlagWriteError, LedgerError, StoreError
from flipback.exposure import Batch, Evidence
from flipback.latch import Latch
from flipback.ports import Clock, FlagChange, FlagRef, Intent, Ledger, Store
from flipback.stores import FileLedger, SqliteStore
from flipback_providers.flagfile import FlagFileWriter
from projects import Project


PATIENCE_S = 10.0
INTENT = Intent(id="intent-1", actor="ada", reason="answers are wrong")
OTHER_INTENT = Intent(id="intent-2", actor="bob", reason="still wrong")


def until(true: Callable[[], bool], *, within_s: float = PATIENCE_S) -> bool:
    """Return whether this became true in time; looked at every 2 ms."""
    clock, pause = SystemClock(), threading.Event()
    end = clock.monotonic() + within_s
    while not true():
        if clock.monotonic() > end:
            return False
        pause.wait(0.002)
    return True


class WallClock:
    """A clock whose wall time can be set, forwards and back; seconds go on."""

    def __init__(self) -> None:
        self._machine = SystemClock()
        self._wall = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._machine.monotonic()

    def turn(self, by: timedelta) -> None:
        self._wall += by


class BlockedLedger(FileLedger):
    """Appends no kill before its gate is open."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock)
        self.gate = threading.Event()
        self.threads: set[int] = set()

    @override
    def kill(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        self.threads.add(threading.get_ident())
        self.gate.wait(PATIENCE_S)
        return super().kill(route, intent=intent, at=at, floor=floor)


class RefusingLedger(FileLedger):
    """Takes nothing while it refuses."""

    error: Exception = LedgerError("the disk is full")

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock)
        self.refuses = True

    @override
    def kill(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        if self.refuses:
            raise self.error
        return super().kill(route, intent=intent, at=at, floor=floor)


class BuggyLedger(RefusingLedger):
    """Raises what no ledger should."""

    error = ZeroDivisionError("a bug")


class InterruptedStore(SqliteStore):
    """Answers nothing while it is down; takes a batch and says no if it is lossy."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock=clock)
        self.down = False
        self.lossy = False
        self.batches: list[int] = []

    @override
    def flush(self, batch: Batch) -> bool:
        self._answer()
        self.batches.append(batch.sequence)
        done = super().flush(batch)
        if self.lossy:
            raise StoreError("the connection broke while waiting for the answer")
        return done

    @override
    def evidence(
        self, route: str, *, attempt: int, trip: int, comparison: str | None = None
    ) -> Evidence:
        self._answer()
        return super().evidence(
            route, attempt=attempt, trip=trip, comparison=comparison
        )

    @override
    def latches(self) -> Mapping[str, Latch]:
        self._answer()
        return super().latches()

    @override
    def put_latch(self, latch: Latch) -> Latch:
        self._answer()
        return super().put_latch(latch)

    def _answer(self) -> None:
        if self.down:
            raise StoreError("the store is down")


class TroubledWriter(FlagFileWriter):
    """Kills nothing while it is in trouble."""

    def __init__(self, path: Path, trouble: Exception | None = None) -> None:
        super().__init__(path, clock=SystemClock())
        self.trouble = trouble
        self.kills = 0

    @override
    def kill(
        self,
        ref: FlagRef,
        *,
        control: str,
        intent: Intent,
        cohort: str | None = None,
    ) -> FlagChange:
        self.kills += 1
        if self.trouble is not None:
            raise self.trouble
        return super().kill(ref, control=control, intent=intent, cohort=cohort)


def refusal(kind: FlagProblem) -> FlagWriteError:
    return FlagWriteError(f"the service says {kind.value}", kind=kind)


class Control:
    """The control part of one process, on a project's files or on what is given."""

    def __init__(
        self,
        project: Project,
        *,
        clock: Clock | None = None,
        ledger: Ledger | None = None,
        store: Store | None = None,
        trouble: Exception | None = None,
        writer: TroubledWriter | None = None,
    ) -> None:
        self.project = project
        self.settings: Settings = load_settings(project.config)
        self.writer = writer or TroubledWriter(project.flags, trouble)
        ground = lay_ground(self.settings, self.writer, clock or SystemClock())
        self.ground: Ground = replace(
            ground, ledger=ledger or ground.ledger, store=store or ground.store
        )
        self.switch = KillSwitch(self.ground, forced(self.settings))
        self.route = next(iter(self.ground.plans))

    @property
    def override(self) -> object:
        return self.switch.switches[self.route].standing.override

    @property
    def faults(self) -> str:
        return "\n".join(self.ground.faults.details().values())

    def release(self, trip: int) -> None:
        """Release as a person does, in ledger and store."""
        latch = self.ground.store.latches()[self.route]
        released = latch.released(trip, reason="fixed", actor="ada", at=latch.at)
        self.ground.ledger.release(released)
        self.ground.store.put_latch(released)

    def close(self) -> None:
        self.switch.stop()
        self.ground.store.close()
