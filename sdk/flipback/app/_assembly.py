"""Put the parts together; the only place that knows all of them."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from flipback.app._binding import Binding
from flipback.app._drill import with_drill
from flipback.app._open import open_flags, open_store
from flipback.config import GuardRun, Settings
from flipback.control import (
    Controller,
    Flusher,
    ForcedControl,
    Ground,
    GuardrailEvaluator,
    KillSwitch,
    Mirror,
    Notifier,
    Shares,
    ledger_name,
)
from flipback.errors import StoreError
from flipback.ports import Clock, EvidenceStore, FlagService, FlagWriter
from flipback.routing import (
    EpochBook,
    Faults,
    InFlight,
    Keyring,
    Recorder,
    Workers,
    shadow_workers,
)
from flipback.stores import FileLedger
from flipback.telemetry import CallTracer, EventLog


SECRET_VARIABLE = "FLIPBACK_SECRET"  # noqa: S105 - the name of it


class Secret:
    """The secret of the environment, or else of the store.

    The store is read by a thread and never by a call that needs the secret: a
    store that is locked must not hold up the request path.
    """

    def __init__(self, given: str, store: EvidenceStore) -> None:
        self._known = given.encode()
        self._store = store

    def load(self) -> None:
        """Read it from the store, unless it is known.

        Raises:
            StoreError: The store cannot be read now.
        """
        self._known = self._known or self._store.secret()

    def get(self) -> bytes:
        """Return it.

        Raises:
            StoreError: It has not been read yet.
        """
        if not self._known:
            raise StoreError(
                "the store could not be read yet, and it keeps the secret; "
                f"see to the store, or set {SECRET_VARIABLE}"
            )
        return self._known


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that a router in one process is made of."""

    settings: Settings
    flags: FlagService
    ground: Ground
    killswitch: KillSwitch
    recorder: Recorder
    in_flight: InFlight
    flusher: Flusher
    guard: GuardrailEvaluator
    controller: Controller
    notifier: Notifier
    mirror: Mirror
    epochs: dict[str, EpochBook]
    secret: Secret
    keyring: Keyring
    tracer: CallTracer
    shadows: Workers
    binding: Binding

    def after_fork(self, writer: str) -> None:
        """Drop in a forked child what belongs to its parent."""
        self.recorder.after_fork(writer)
        self.flusher.after_fork()
        self.killswitch.after_fork()
        self.shadows.after_fork()
        self.controller.after_fork(writer)
        self.notifier.after_fork()
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


def notifier_of(settings: Settings, ground: Ground, *, delivers: bool) -> Notifier:
    """Return what brings notices to the ways that the settings name."""
    return Notifier(
        settings.notify,
        environ=os.environ,
        outbox=ground.store,
        leases=ground.store,
        faults=ground.faults,
        clock=ground.clock,
        config=str(settings.path.absolute()),
        delivers=delivers,
    )


def mirror_of(settings: Settings, ground: Ground) -> Mirror:
    """Return what copies this host's ledger to the store."""
    name = ledger_name(settings.ledger)
    return Mirror(ground.ledger, ground.store, name, ground.faults)


def forced(settings: Settings) -> ForcedControl:
    """Return the break-glass of these settings."""
    return ForcedControl(os.environ, settings.force_control_file)


def assemble(
    settings: Settings, clock: Clock, *, due: Callable[[int], None]
) -> Assembly:
    """Build a router's parts; nothing is started and nothing is bound."""
    flags = open_flags(settings)
    elsewhere = settings.guard.run is GuardRun.ELSEWHERE
    ground = lay_ground(settings, None if elsewhere else flags.writer, clock)
    notifier = notifier_of(settings, ground, delivers=not elsewhere)
    ground = replace(ground, tell=notifier.tell)
    killswitch = KillSwitch(with_drill(ground, settings), forced(settings))
    name = secrets.token_hex(8)
    secret = Secret(os.environ.get(SECRET_VARIABLE, ""), ground.store)
    recorder = Recorder(writer=name, plans=ground.plans, due=due, clock=clock)
    epochs: dict[str, EpochBook] = {}
    shares = Shares(ground.plans, flags.writer, ground.faults)
    flusher = Flusher(recorder, ground.store, ground.faults, shares)
    dry_run = settings.guard.dry_run
    return Assembly(
        settings=settings,
        flags=flags,
        ground=ground,
        killswitch=killswitch,
        recorder=recorder,
        in_flight=InFlight(),
        flusher=flusher,
        guard=GuardrailEvaluator(ground, killswitch, flusher, epochs, dry_run=dry_run),
        controller=Controller(ground, killswitch, holder=name, dry_run=dry_run),
        notifier=notifier,
        mirror=mirror_of(settings, ground),
        epochs=epochs,
        secret=secret,
        keyring=Keyring(secret.get, clock),
        tracer=CallTracer(settings.telemetry),
        shadows=shadow_workers(
            killswitch.switches.values(),
            ground.faults,
            threads=settings.shadow.workers,
            queue=settings.shadow.queue,
        ),
        binding=Binding(f"flipback-{name}", flags.provider),
    )
