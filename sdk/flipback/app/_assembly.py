"""Put the parts together; the only place that knows all of them."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from flipback.app._binding import Binding
from flipback.app._open import open_flags, open_store
from flipback.config import Settings
from flipback.control import (
    Flusher,
    ForcedControl,
    Ground,
    GuardrailEvaluator,
    KillSwitch,
)
from flipback.ports import Clock, FlagService, FlagWriter
from flipback.routing import Faults, Keyring, Recorder
from flipback.stores import FileLedger
from flipback.telemetry import CallTracer, EventLog


SECRET_VARIABLE = "FLIPBACK_SECRET"  # noqa: S105 - the name of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that a router in one process is made of."""

    settings: Settings
    flags: FlagService
    ground: Ground
    killswitch: KillSwitch
    recorder: Recorder
    flusher: Flusher
    guard: GuardrailEvaluator
    keyring: Keyring
    tracer: CallTracer
    binding: Binding

    def after_fork(self, writer: str) -> None:
        """Drop in a forked child what belongs to its parent."""
        self.recorder.after_fork(writer)
        self.flusher.after_fork()
        self.killswitch.after_fork()
        self.ground.faults.after_fork()


def lay_ground(settings: Settings, writer: FlagWriter | None, clock: Clock) -> Ground:
    """Name store and ledger, for a router or for the command line."""
    return Ground(
        plans={plan.route: plan for plan in settings.plans},
        store=open_store(settings, clock),
        ledger=FileLedger(settings.ledger, clock),
        writer=writer,
        events=EventLog(settings.telemetry),
        faults=Faults(),
        clock=clock,
    )


def forced(settings: Settings) -> ForcedControl:
    """Return the break-glass of these settings."""
    return ForcedControl(os.environ, settings.force_control_file)


def assemble(
    settings: Settings, clock: Clock, *, due: Callable[[int], None]
) -> Assembly:
    """Build a router's parts; nothing is started and nothing is bound."""
    flags = open_flags(settings)
    ground = lay_ground(settings, flags.writer, clock)
    killswitch = KillSwitch(ground, forced(settings))
    name = secrets.token_hex(8)
    recorder = Recorder(writer=name, plans=ground.plans, due=due)
    flusher = Flusher(recorder, ground.store, ground.faults)
    return Assembly(
        settings=settings,
        flags=flags,
        ground=ground,
        killswitch=killswitch,
        recorder=recorder,
        flusher=flusher,
        guard=GuardrailEvaluator(ground, killswitch, flusher),
        keyring=Keyring(_secret(ground), clock),
        tracer=CallTracer(settings.telemetry),
        binding=Binding(f"flipback-{name}", flags.provider),
    )


def _secret(ground: Ground) -> Callable[[], bytes]:
    """Return how to get the secret: of the environment, or else of the store."""
    given = os.environ.get(SECRET_VARIABLE)
    return given.encode if given else lambda: ground.store.secret()  # noqa: PLW0108 - the store opens late
