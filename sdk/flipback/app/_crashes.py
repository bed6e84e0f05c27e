"""Count the calls of crashed processes as failed, whoever finds them."""

from pathlib import Path

from flipback.app._assembly import Assembly
from flipback.assignment import EVERYBODY
from flipback.exposure import BUCKETS, EXPOSURE, CellKey, LateOutcome
from flipback.plan import ERROR
from flipback.routing import LIFETIME
from flipback.stores import SUFFIX, Flights, LostCall, lost_calls


PROCESS_DIED = "process_died"


class CrashWatch:
    """Keeps this process's marks of calls in flight, and reads those of the dead.

    Two finders of one crash book it once: the store takes an outcome of a
    decision only once.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._folder: Path = assembly.settings.ledger.with_suffix(SUFFIX)
        self._flights: Flights | None = None

    def open(self, process_id: str) -> None:
        """Start marking; where no file can be made, crashes are not counted."""
        name = process_id.replace(":", "-")
        try:
            self._flights = Flights(self._folder / f"{name}{SUFFIX}")
        except OSError as error:
            self._assembly.ground.faults.note("*", "crashes are not counted", error)
        self._assembly.in_flight.log = self._flights

    def close(self) -> None:
        """Stop marking, in good order."""
        self._assembly.in_flight.log = None
        if self._flights is not None:
            self._flights.close()
        self._flights = None

    def after_fork(self) -> None:
        """Let go of the parent's marks."""
        self._assembly.in_flight.log = None
        if self._flights is not None:
            self._flights.abandon()
        self._flights = None

    def book(self) -> None:
        """Book the calls of dead processes; a file goes once the store has them."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            lost = lost_calls(path)
            if lost is None or not all(self._book(call) for call in lost):
                continue
            if self._assembly.flusher.flush():
                path.unlink(missing_ok=True)

    def _book(self, call: LostCall) -> bool:
        """Count one lost call; False where this process does not know its plan."""
        plan = self._assembly.ground.plans.get(call.route)
        if plan is None:
            return False
        self._assembly.ground.faults.note(
            call.route, PROCESS_DIED, f"a call of {call.variant!r} counts as an error"
        )
        recorder = self._assembly.recorder
        is_event = ERROR in plan.events
        # Its exposure may have died unflushed; counting it here as well keeps the
        # failed among the exposed.
        exposed = not is_event or recorder.late(self._outcome(call, EXPOSURE, is_event))
        return exposed and recorder.late(self._outcome(call, ERROR, is_event))

    def _outcome(self, call: LostCall, metric: str, is_event: bool) -> LateOutcome:  # noqa: FBT001 - private
        now = self._assembly.ground.clock.now()
        return LateOutcome(
            decision_id=call.decision_id,
            metric=metric,
            expires_at=(now + LIFETIME).timestamp(),
            keys=tuple(
                CellKey(
                    call.route,
                    call.attempt,
                    call.epoch,
                    call.rule,
                    0,
                    metric,
                    cohort,
                    call.variant,
                )
                for cohort in (EVERYBODY, *call.cohorts)
            ),
            bucket=call.subject % BUCKETS,
            value=1.0,
            subject=call.subject if is_event else None,
        )
