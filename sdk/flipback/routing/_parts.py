"""What the request path of one route works with, guarded against our own faults."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import ParamSpec

from openfeature.evaluation_context import EvaluationContext
from opentelemetry.trace import SpanContext

from flipback.assignment import Assignment, Role
from flipback.errors import RouteError
from flipback.exposure import LateOutcome
from flipback.plan import ERROR, RolloutPlan, nearest
from flipback.ports import Clock
from flipback.routing._context import targeting_key
from flipback.routing._epochs import EpochBook
from flipback.routing._exchange import UNSEEN, Exchange, unsigned
from flipback.routing._faults import Faults, described
from flipback.routing._inflight import UNTRACKED, InFlight
from flipback.routing._receipt import Keyring, Ticket
from flipback.routing._recorder import Recorder
from flipback.telemetry import CallSpan, CallTracer, EventLog


_P = ParamSpec("_P")
UNVERSIONED = "unversioned"
_FAULT = "fault in telemetry or evidence"
_SETTLED = "it was counted when the call ended; the first value stands"
_MATURED = (
    "it came after `matures_after`, when the exposures of its time had been weighed; "
    "it is counted as late and not used"
)
_WAITING = "too many outcomes wait for the store; see that it can be written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One route's collaborators; nothing in here raises while a call is served."""

    plan: RolloutPlan
    metrics: frozenset[str]
    recorder: Recorder
    in_flight: InFlight
    epochs: EpochBook
    keyring: Keyring
    tracer: CallTracer
    events: EventLog
    faults: Faults
    clock: Clock
    flag_variants: frozenset[str] = field(default_factory=frozenset[str])

    def guarded(
        self, act: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """Do what telemetry or evidence asks for; a fault of it fails no call."""
        try:
            act(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call goes on
            self.faults.note(self.plan.route, _FAULT, described(error))

    def expose(self, assignment: Assignment) -> None:
        """Count one exposure."""
        try:
            self.recorder.expose(self.plan.route, assignment)
        except Exception as error:  # noqa: BLE001 - evidence must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
        if self.events.per_call:
            self.guarded(self.events.exposure, self.plan.route, assignment)

    def receipt(self, assignment: Assignment, settled: frozenset[str]) -> str:
        """Return a receipt, an empty one where the secret cannot be read."""
        try:
            return self._issued(assignment, settled)
        except Exception as error:  # noqa: BLE001 - a receipt must not fail a call
            self.faults.note(self.plan.route, "no receipt", described(error))
            return ""

    def _issued(self, assignment: Assignment, settled: frozenset[str]) -> str:
        thresholds = self.recorder.thresholds(assignment.epoch)
        return self.keyring.issue(self.plan.route, assignment, settled, thresholds)

    def begin(self, assignment: Assignment) -> Exchange:
        """Count the exposure, since the call starts now.

        Inside of a shadow answer there is none, nor anything else to book.
        """
        if UNSEEN.get():
            return self.begin_unseen(assignment)
        self.expose(assignment)
        exchange = Exchange(
            self.plan.route,
            assignment,
            metrics=self.metrics,
            sign=self.receipt,
            faults=self.faults,
        )
        try:
            exchange.slot = self.in_flight.enter(self.plan.route, assignment)
        except Exception as error:  # noqa: BLE001 - evidence must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
        return exchange

    def begin_unseen(self, assignment: Assignment) -> Exchange:
        """Return an exchange that is no exposure and has no receipt."""
        return Exchange(
            self.plan.route,
            assignment,
            metrics=self.metrics,
            sign=unsigned,
            faults=self.faults,
            unseen=True,
        )

    def mark_unseen(self, exchange: Exchange, control: Exchange) -> None:
        """Mark a shadow answer as in flight beside the answer that control gave."""
        failed = bool(control.outcomes.get(ERROR))
        exchange.slot = self.in_flight.enter_unseen(
            self.plan.route, exchange.assignment, control_failed=failed
        )

    def span_unseen(
        self, assignment: Assignment, user: EvaluationContext, call: SpanContext
    ) -> CallSpan:
        """Start the span of a shadow answer to this call."""
        try:
            key = targeting_key(user) if self.tracer.shows_keys else None
            return self.tracer.begin_unseen(self.plan.route, assignment, key, call)
        except Exception as error:  # noqa: BLE001 - telemetry must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
            return CallSpan.none()

    def finish_unseen(self, exchange: Exchange, span: CallSpan) -> None:
        """End what a shadow answer began; what becomes of it is for its caller."""
        exchange.close()
        self.guarded(span.end)
        if exchange.slot != UNTRACKED:
            self.guarded(self.in_flight.leave, exchange.slot)

    def span(self, assignment: Assignment, user: EvaluationContext) -> CallSpan:
        """Start the call span."""
        try:
            key = targeting_key(user) if self.tracer.shows_keys else None
            return self.tracer.begin(self.plan.route, assignment, key)
        except Exception as error:  # noqa: BLE001 - telemetry must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
            return CallSpan.none()

    def finish(self, exchange: Exchange, span: CallSpan) -> None:
        """End the span and book the outcomes; a fault in one leaves the others.

        Written out instead of `guarded`, because every call comes through here.
        """
        if exchange.unseen:
            self.finish_unseen(exchange, span)
            return
        exchange.close()
        try:
            span.end()
        except Exception as error:  # noqa: BLE001 - telemetry must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
        try:
            self._settle(exchange)
        except Exception as error:  # noqa: BLE001 - evidence must not fail a call
            self.faults.note(self.plan.route, _FAULT, described(error))
        try:
            self.in_flight.leave(exchange.slot)
        except Exception as error:  # noqa: BLE001 - likewise
            self.faults.note(self.plan.route, _FAULT, described(error))
        if self.events.per_call:
            for metric, value in exchange.outcomes.items():
                self._say(exchange.assignment.decision_id, metric, value)

    def _settle(self, exchange: Exchange) -> None:
        outcomes, promised = exchange.outcomes, exchange.promised
        if promised is not None:
            self._book_late(exchange, promised)
            outcomes = {m: v for m, v in outcomes.items() if m in promised}
        self.recorder.settle(self.plan.route, exchange.assignment, outcomes)

    def _say(self, decision_id: str, metric: str, value: float) -> None:
        route = self.plan.route
        self.guarded(self.events.outcome, route, decision_id, metric, value)

    def _book_late(self, exchange: Exchange, promised: frozenset[str]) -> None:
        """Book what a receipt issued before the end of the call may bring as well."""
        ticket = self.keyring.open(self._issued(exchange.assignment, promised))
        for metric in exchange.outcomes.keys() - promised:
            self._book(ticket, metric, exchange.outcomes[metric])

    def late(self, ticket: Ticket, metric: str, value: float) -> str:
        """Book an outcome by receipt; return why not, or an empty string."""
        problem = self._book(ticket, metric, value)
        if not problem and self.events.per_call:
            self._say(ticket.decision_id, metric, value)
        return problem

    def _book(self, ticket: Ticket, metric: str, value: float) -> str:
        if problem := _not_booked(ticket, metric):
            return problem
        route = self.plan.route
        booked = self.recorder.bookings[route].outcome(
            metric,
            value,
            at=ticket.at,
            now=self.clock.now().timestamp(),
            thresholds=ticket.thresholds,
        )
        for reason in booked.excluded:
            self.recorder.exclude(route, reason)
        if not booked.entries:
            return _MATURED
        distributed = self.recorder.distributes(route, ticket.variant, metric)
        outcome = LateOutcome.of(
            ticket,
            metric,
            booked.entries,
            expires_at=ticket.expires_at,
            distributed=value if distributed else None,
        )
        return "" if self.recorder.late(outcome) else _WAITING

    def check_name(self, name: str, taken: Sequence[str]) -> None:
        """Refuse a variant that is registered twice or that the flag does not have."""
        route = self.plan.route
        if name in taken:
            raise RouteError(f"route {route!r}: variant {name!r} is registered twice")
        known = self.flag_variants | {self.plan.control, self.plan.candidate}
        if self.flag_variants and name not in known:
            hint = nearest(name, known, otherwise="add it to the flag")
            raise RouteError(
                f"route {route!r}: flag {self.plan.flag!r} has no variant {name!r}, "
                f"only {', '.join(map(repr, sorted(known)))}; {hint}"
            )

    def version_of(
        self, function: Callable[..., object], given: str | None, name: str
    ) -> str:
        """Return the version of a variant: given, of its package, or `unversioned`."""
        if given is not None:
            return given
        if name == self.plan.candidate and self.plan.candidate_version is not None:
            return self.plan.candidate_version
        found = _package_version(function)
        if found is None:
            self.faults.note(
                self.plan.route,
                UNVERSIONED,
                f"variant {name!r} has no version, so a new model would be compared "
                "together with the old one; pass version= to @route.variant",
            )
            return UNVERSIONED
        return found


def _not_booked(ticket: Ticket, metric: str) -> str:
    """Return why a decision takes no outcome of a metric, or an empty string."""
    uncompared = f"decision {ticket.decision_id} is not compared"
    if not ticket.randomized:
        return f"{uncompared}: no split decided it, as while killed or by a fixed rule"
    if ticket.role is Role.OTHER:
        return f"{uncompared}: {ticket.variant!r} is neither control nor candidate"
    return _SETTLED if metric in ticket.settled else ""


def _package_version(function: Callable[..., object]) -> str | None:
    module = inspect.getmodule(function)
    package = "" if module is None else module.__name__.partition(".")[0]
    distributions = packages_distributions().get(package)
    if not distributions:
        return None
    try:
        return version(distributions[0])
    except PackageNotFoundError:
        return None
