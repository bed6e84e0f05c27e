"""One drill: arm the drill flag, kill it as any kill, see who serves control when."""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from flipback.app._assembly import forced
from flipback.app._drill import (
    BY_FLAG,
    BY_LATCH,
    CANDIDATE,
    CONTROL,
    DRILL_ROUTE,
    drill_plan,
)
from flipback.app._drill_lease import DrillLease
from flipback.app._drill_reports import DrillRound, Sighting
from flipback.app._drill_undo import CLEAN, Undo, Undone
from flipback.app._processes import is_alive, registered
from flipback.config import Settings, check_flag, flag_ref, flag_variant, split_giving
from flipback.control import Ground, KillReport, KillSwitch
from flipback.errors import (
    FlagProblem,
    FlagWriteError,
    FlipbackError,
    Mistake,
    StoreError,
)
from flipback.plan import RolloutPlan
from flipback.ports import (
    Clock,
    FlagState,
    FlagWriter,
    Intent,
    Ledger,
    ProcessRecord,
)


FLAG_TO_ADD = (
    '"flipback-drill": {"state": "ENABLED", '
    f'"variants": {{"{CONTROL}": "{CONTROL}", "{CANDIDATE}": "{CANDIDATE}"}}, '
    f'"defaultVariant": "{CONTROL}", '
    f'"targeting": {{"fractional": [["{CONTROL}", 100], ["{CANDIDATE}", 0]]}}}}'
)
_POLL_S = 0.01
_LEDGER_PATIENCE_S = 1.0
_ID_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Drills:
    """What a person asks for.

    Attributes:
        actor: Who asks.
        times: How many drills.
        within_s: Seconds in which every process must come to control.
        wait_s: Seconds to wait for the processes in each step, before it is given up.
    """

    actor: str
    times: int = 1
    within_s: float = 0.5
    wait_s: float = 5.0


class DrillRefused(FlipbackError):  # noqa: N818 - says what happened to the drill
    """No drill was made; carries what to do about that."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why = why
        self.remedy = remedy


class Course:
    """Drills with the flag, the writer and the lease that they need."""

    def __init__(
        self,
        settings: Settings,
        ground: Ground,
        writer: FlagWriter,
        lease: DrillLease,
    ) -> None:
        self.plan: RolloutPlan = drill_plan(settings.drill_flag or "")
        self.undo = Undo(ground, writer, self.plan)
        self._settings = settings
        self._ground = ground
        self._writer = writer
        self._lease = lease

    def cleaned(self, actor: str) -> Undone:
        """Put in order what an earlier drill has left."""
        due = self.undo.is_due()
        return self.undo.after_another(actor=actor) if due else Undone()

    def check(self) -> None:
        """Refuse what could not be drilled.

        Raises:
            DrillRefused: The flag is missing or unusable, or nobody takes part.
        """
        mistakes = self.mistakes()
        if mistakes:
            raise DrillRefused(
                f"drill flag: {mistakes[0].problem}",
                f"{mistakes[0].remedy}; a drill needs a flag such as {FLAG_TO_ADD}",
            )
        if not self._running():
            raise DrillRefused(*self._nobody())

    def mistakes(self) -> Sequence[Mistake]:
        """Return what keeps the drill flag from being drilled.

        Raises:
            FlagWriteError: The flag service cannot be read.
        """
        file, ref = str(self._settings.path), flag_ref(self.plan)
        try:
            state = self._writer.read(ref)
        except FlagWriteError as error:
            if error.kind is not FlagProblem.NOT_FOUND:
                raise
            return check_flag(self.plan, file, None, ())
        control = flag_variant(self.plan, state, self.plan.control)
        issues = self._writer.preflight(ref, control=control or CONTROL)
        return check_flag(self.plan, file, state, issues)

    def strangers(self) -> int:
        """Return how many processes run that know of no drill flag."""
        return sum(DRILL_ROUTE not in each.trips for each in registered(self._ground))

    def make(self, drills: Drills) -> tuple[DrillRound, Undone]:
        """Make one drill and restore everything, also where it fails."""
        drill = f"drill-{secrets.token_hex(_ID_BYTES)}"
        before = self._writer.read(flag_ref(self.plan))
        self.undo.prepare(drill, before, actor=drills.actor)
        try:
            made = self._made(drill, before, drills)
        except BaseException as error:
            for problem in self._undone(before, drills).left:
                error.add_note(f"{problem}; clean up with: {CLEAN}")
            raise
        return made, self._undone(before, drills)

    def _undone(self, before: FlagState, drills: Drills) -> Undone:
        """Undo what was done, unless the drill is somebody else's by now."""
        if not self._lease.is_held:
            return Undone()
        return self.undo.after(before, actor=drills.actor)

    def _made(self, drill: str, before: FlagState, drills: Drills) -> DrillRound:
        tick = self._ground.clock.monotonic
        began = tick()
        takes_part = self._running()
        self._arm(drill, before, drills.actor)
        armed = self._awaited(takes_part, lambda seen: seen.drill == drill, drills)
        made = DrillRound(
            drill=drill,
            armed_ms=1000 * (tick() - began),
            sightings=tuple(_sighting(each, armed, drill, 0.0) for each in takes_part),
        )
        if not any(each.armed for each in made.sightings):
            return made
        return self._killed(made, takes_part, drills)

    def _arm(self, drill: str, before: FlagState, actor: str) -> None:
        if not self.undo.announce(drill, actor=actor):
            raise StoreError("somebody else changed the drill's record; drill again")
        split = split_giving(self.plan, before, 100)
        intent = Intent(id=drill, actor=actor, reason="a drill of the kill switch")
        self._writer.set_split(
            flag_ref(self.plan), split or {}, expect=before.version, intent=intent
        )

    def _killed(
        self, made: DrillRound, takes_part: tuple[ProcessRecord, ...], drills: Drills
    ) -> DrillRound:
        clock = self._ground.clock
        ledger, writer = _Timed(self._ground.ledger, clock), _Timed(self._writer, clock)
        switch = self._switch(cast("Ledger", ledger), cast("FlagWriter", writer))
        switch.refresh()
        try:
            killed_at, began = clock.now().timestamp(), clock.monotonic()
            report = self._kill(switch, made.drill, drills.actor)
            there = {each.process for each in made.sightings if each.armed}
            armed = tuple(each for each in takes_part if each.id in there)
            seen = self._awaited(armed, _saw_everything, drills)
        finally:
            switch.stop()
        return replace(
            made,
            sightings=tuple(
                _sighting(each, seen, made.drill, killed_at) for each in takes_part
            ),
            durable_ms=ledger.ms_since(began),
            written_ms=writer.ms_since(began),
            flag=report.flag,
            problem=report.problem,
            trip=report.latch.trip,
        )

    def _kill(self, switch: KillSwitch, drill: str, actor: str) -> KillReport:
        intent = Intent(id=f"kill-{drill}", actor=actor, reason="a drill")
        return switch.kill(DRILL_ROUTE, intent=intent)

    def _switch(self, ledger: Ledger, writer: FlagWriter) -> KillSwitch:
        """Return the kill switch of any kill, for this route alone; it wakes nobody."""
        return KillSwitch(
            replace(
                self._ground,
                plans={DRILL_ROUTE: self.plan},
                ledger=ledger,
                writer=writer,
                tell=_nobody,
            ),
            forced(self._settings),
            ledger_patience_s=_LEDGER_PATIENCE_S,
        )

    def _awaited(
        self,
        processes: tuple[ProcessRecord, ...],
        done: Callable[[ProcessRecord], bool],
        drills: Drills,
    ) -> Mapping[str, ProcessRecord]:
        """Return the last heartbeats, once all are as wanted or it is too late."""
        tick, pause = self._ground.clock.monotonic, threading.Event()
        until = tick() + drills.wait_s
        while True:
            self._lease.renew()
            now = {each.id: each for each in self._alive()}
            waited_for = [now[each.id] for each in processes if each.id in now]
            if all(map(done, waited_for)) or tick() > until:
                return now
            pause.wait(_POLL_S)

    def _running(self) -> tuple[ProcessRecord, ...]:
        found = registered(self._ground)
        return tuple(each for each in found if DRILL_ROUTE in each.trips)

    def _alive(self) -> Iterator[ProcessRecord]:
        """Yield those that have not ended, also those that hang and beat no more."""
        yield from filter(is_alive, self._ground.store.processes(since=0.0))

    def _nobody(self) -> tuple[str, str]:
        if self.strangers():
            return (
                f"{self.strangers()} processes run and none knows the drill flag",
                "restart them, so that they read `drill_flag`",
            )
        return (
            "no process runs, so there is nothing to measure",
            "start the application and let it serve a call",
        )


class _Timed:
    """Stands before a ledger or flag writer and notes when its `kill` was done."""

    def __init__(self, behind: object, clock: Clock) -> None:
        self._behind = behind
        self._tick = clock.monotonic
        self._done_at: float | None = None

    def __getattr__(self, name: str) -> object:
        """Return what stands behind it."""
        found: object = getattr(self._behind, name)
        if name != "kill":
            return found
        kill = cast("Callable[..., object]", found)

        def timed(*args: object, **kwargs: object) -> object:
            done = kill(*args, **kwargs)
            self._done_at = self._done_at or self._tick()
            return done

        return timed

    def ms_since(self, began: float) -> float | None:
        """Return milliseconds until the first kill was done, None while none is."""
        return None if self._done_at is None else 1000 * (self._done_at - began)


def _sighting(
    process: ProcessRecord, now: Mapping[str, ProcessRecord], drill: str, at: float
) -> Sighting:
    """Return what a process saw; `at` is when the kill began, in Unix seconds."""
    found = now.get(process.id, process)
    took_part = found.drill == drill
    took = {name: 1000 * (seen - at) for name, seen in found.obeyed_at.items()}
    took = took if took_part else {}
    return Sighting(
        process=process.id,
        armed=took_part,
        ended=process.id not in now,
        control_ms=took.get(DRILL_ROUTE),
        latch_ms=took.get(BY_LATCH),
        flag_ms=took.get(BY_FLAG),
    )


def _nobody(_: object) -> None:
    """Tell nobody: who drills is at the terminal."""


def _saw_everything(process: ProcessRecord) -> bool:
    return process.obeyed_at.keys() >= {DRILL_ROUTE, BY_LATCH, BY_FLAG}
