"""A drill as a process takes part in it: it asks again and again who would serve."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from openfeature.evaluation_context import EvaluationContext

from flipback.app._assembly import Assembly
from flipback.app._drill import (
    BY_FLAG,
    BY_LATCH,
    CANDIDATE,
    CONTROL,
    DRILL_ROUTE,
    DrillNews,
    drill_plan,
    drill_under_way,
)
from flipback.assignment import Reason
from flipback.plan import RolloutPlan
from flipback.routing import Decider, EpochBook, FlagReader, Parts, Recorder, described


SUBJECTS = 50
_TICK_S = 0.005
_LONGEST_S = 60.0
_STOP_S = 1.0


class DrillWatch:
    """Takes part in each drill that the store announces.

    Args:
        assembly: The parts of this process; its kill switch knows the drill's route.
        told: Called in a thread of its own when there is news for the heartbeat.
    """

    def __init__(self, assembly: Assembly, told: Callable[[], object]) -> None:
        self._assembly = assembly
        self._told = told
        self._drill = ""
        self._probe: _Probe | None = None
        flag = assembly.settings.drill_flag
        takes_part = DRILL_ROUTE in assembly.killswitch.switches
        self._plan = drill_plan(flag) if flag is not None and takes_part else None

    @property
    def news(self) -> DrillNews:
        """Return what has been seen of the drill that is on."""
        probe = self._probe
        return DrillNews() if probe is None else probe.news

    def follow(self) -> None:
        """Begin or end what the store's record of the drill's route says."""
        record = self._assembly.killswitch.records.get(DRILL_ROUTE)
        drill = "" if record is None else drill_under_way(record)
        if self._plan is None or drill == self._drill:
            return
        # Not waited for: the thread that comes here is the one that obeys kills.
        self._leave()
        self._drill = drill
        if drill:
            self._probe = _Probe(drill, self._assembly, self._plan, self._told)
            self._probe.start()

    def stop(self) -> None:
        """Leave the drill that is on, and wait for its thread."""
        probe = self._leave()
        if probe is not None:
            probe.join()

    def after_fork(self) -> None:
        """Leave the drill to the parent, whose thread it is; join it anew."""
        self._probe, self._drill = None, ""

    def _leave(self) -> "_Probe | None":
        probe, self._probe, self._drill = self._probe, None, ""
        if probe is not None:
            probe.end()
        return probe


class _Probe:
    """One drill in one process: a thread that decides for the same few subjects.

    It ends by itself once it has seen everything, or after a minute, so that a drill
    that broke off costs an application nothing.
    """

    def __init__(
        self,
        drill: str,
        assembly: Assembly,
        plan: RolloutPlan,
        told: Callable[[], object],
    ) -> None:
        self.news = DrillNews()
        self._drill = drill
        self._clock = assembly.ground.clock
        self._faults = assembly.ground.faults
        self._told = told
        self._decide = _decider(assembly, plan).decide
        self._reader = FlagReader(plan, assembly.binding.client)
        self._subjects = [
            EvaluationContext(f"{DRILL_ROUTE}-{number}") for number in range(SUBJECTS)
        ]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=DRILL_ROUTE, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Let the thread end after the round under way."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for that; a flag provider that hangs is not waited for long."""
        if self._thread is not threading.current_thread() and self._thread.ident:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        until = self._clock.monotonic() + _LONGEST_S
        try:
            while not self._is_done() and self._clock.monotonic() < until:
                self._look()
                if self._stopped.wait(_TICK_S):
                    return
        except Exception as error:  # noqa: BLE001 - a drill must not end a process
            self._faults.note(DRILL_ROUTE, "drill broken off", described(error))

    def _is_done(self) -> bool:
        return len(self.news.obeyed_at) == len(self._sights())

    def _look(self) -> None:
        """Ask for everybody until somebody gets what is not waited for."""
        if self.news.drill:
            self._look_for_control()
        elif all(self._given(user) == CANDIDATE for user in self._subjects):
            self._tell(replace(self.news, drill=self._drill))

    def _look_for_control(self) -> None:
        for name, is_control in self._sights().items():
            if name in self.news.obeyed_at or not all(map(is_control, self._subjects)):
                continue
            seen = {**self.news.obeyed_at, name: self._clock.now().timestamp()}
            self._tell(replace(self.news, obeyed_at=seen))

    def _sights(self) -> Mapping[str, Callable[[EvaluationContext], bool]]:
        return {
            DRILL_ROUTE: lambda user: self._given(user) == CONTROL,
            BY_LATCH: lambda user: self._decide(user).reason is Reason.KILLED,
            BY_FLAG: lambda user: self._reader.evaluate(user).name == CONTROL,
        }

    def _given(self, user: EvaluationContext) -> str:
        return self._decide(user).variant

    def _tell(self, news: DrillNews) -> None:
        self.news = news
        self._told()


def _decider(assembly: Assembly, plan: RolloutPlan) -> Decider:
    """Return what decides as for any route; nothing of it is counted or traced."""
    ground = assembly.ground
    provider = assembly.binding.provider_name
    recorder = Recorder(
        writer=DRILL_ROUTE,
        plans={DRILL_ROUTE: plan},
        due=_ignore,
        clock=ground.clock,
    )
    epochs = EpochBook(
        plan,
        provider=f"{provider} {assembly.flags.version}",
        versions=lambda: (CONTROL, CANDIDATE),
        opened=_ignore,
        clock=ground.clock,
    )
    parts = Parts(
        plan=plan,
        metrics=plan.recorded,
        recorder=recorder,
        in_flight=assembly.in_flight,
        epochs=epochs,
        keyring=assembly.keyring,
        tracer=assembly.tracer,
        events=ground.events,
        faults=ground.faults,
        clock=ground.clock,
    )
    return Decider(
        parts,
        switch=assembly.killswitch.switches[DRILL_ROUTE],
        reader=FlagReader(plan, assembly.binding.client),
        provider=provider,
        registered={CONTROL, CANDIDATE},
        ready=_ready,
    )


def _ignore(_: object) -> None:
    """Count nothing: a drill is no evidence."""


def _ready() -> None:
    """Start nothing: only a process that runs takes part."""
