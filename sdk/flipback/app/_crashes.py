"""Count the calls of crashed processes as failed, whoever finds them."""

from dataclasses import replace
from pathlib import Path

from flipback.app._assembly import Assembly
from flipback.booking import Booking
from flipback.exposure import EXPOSURE, Entry, LateOutcome
from flipback.plan import ERROR, RolloutPlan
from flipback.routing import LIFETIME
from flipback.signals import Part, Signal
from flipback.stores import SUFFIX, Flights, LostCall, lost_calls


PROCESS_DIED = "process_died"
_ERROR_OF_PAIR = Signal(ERROR, part=Part.PAIRED).name


class CrashWatch:
    """Keeps this process's marks of calls in flight, and reads those of the dead.

    Two finders of one crash book it once: the store takes an outcome of a
    decision only once.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._folder: Path = assembly.settings.ledger.with_suffix(SUFFIX)
        self._flights: Flights | None = None
        self._booked: set[Path] = set()

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
            try:
                self._book_file(path)
            except Exception as error:  # noqa: BLE001 - the next file may be whole
                self._assembly.ground.faults.note("*", f"crash at {path}", error)

    def _book_file(self, path: Path) -> None:
        if path not in self._booked:
            lost = lost_calls(path)
            if lost is None or not all(map(self._book, lost)):
                return
            self._booked.add(path)
        if self._assembly.flusher.flush():
            path.unlink(missing_ok=True)
            self._booked.discard(path)

    def _book(self, call: LostCall) -> bool:
        """Count one lost call; False where too much waits for the store already."""
        faults = self._assembly.ground.faults
        plan = self._assembly.ground.plans.get(call.route)
        if plan is None:
            faults.note(
                call.route, PROCESS_DIED, "no plan is about this route any more"
            )
            return True
        unseen = call.control_failed is not None
        what = "a shadow answer" if unseen else "a call"
        faults.note(
            call.route, PROCESS_DIED, f"{what} of {call.variant!r} counts as an error"
        )
        booking = self._assembly.recorder.bookings[call.route]
        if unseen:
            return self._keep_pair(call, plan, booking)
        return self._keep_call(call, booking)

    def _keep_call(self, call: LostCall, booking: Booking) -> bool:
        recorder, clock = self._assembly.recorder, self._assembly.ground.clock
        failed = booking.outcome(
            ERROR, 1.0, at=call.at, now=clock.now().timestamp(), thresholds={}
        )
        for reason in failed.excluded:
            recorder.exclude(call.route, reason)
        # Its exposure may have died unflushed; counting it here as well keeps the
        # failed among the exposed.
        exposed = booking.exposure(call.at)
        return self._keep(call, EXPOSURE, exposed) and self._keep(
            call, ERROR, failed.entries
        )

    def _keep_pair(self, call: LostCall, plan: RolloutPlan, booking: Booking) -> bool:
        """Count a shadow answer that ended the process, beside the one control gave.

        Nobody met the candidate, so there is no exposure.
        """
        of_control = replace(call, variant=plan.control)
        pair = booking.pair(
            ERROR, float(bool(call.control_failed)), 1.0, at=call.at, thresholds={}
        )
        control = self._late(of_control, _ERROR_OF_PAIR, pair.control)
        both = self._late(call, _ERROR_OF_PAIR, pair.candidate)
        return self._assembly.recorder.late(
            replace(both, entries=control.entries + both.entries)
        )

    def _keep(self, call: LostCall, metric: str, entries: tuple[Entry, ...]) -> bool:
        return self._assembly.recorder.late(self._late(call, metric, entries))

    def _late(
        self, call: LostCall, metric: str, entries: tuple[Entry, ...]
    ) -> LateOutcome:
        expires_at = (self._assembly.ground.clock.now() + LIFETIME).timestamp()
        return LateOutcome.of(call, metric, entries, expires_at=expires_at)
