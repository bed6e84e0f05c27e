"""What the request path of one route works with, guarded against our own faults."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from openfeature.evaluation_context import EvaluationContext

from flipback.assignment import EVERYBODY, Assignment, Role
from flipback.errors import RouteError
from flipback.exposure import BUCKETS, CellKey, LateOutcome
from flipback.plan import RolloutPlan, nearest
from flipback.ports import Clock
from flipback.routing._context import targeting_key
from flipback.routing._epochs import EpochBook
from flipback.routing._exchange import Exchange
from flipback.routing._faults import Faults
from flipback.routing._receipt import Keyring, Ticket
from flipback.routing._recorder import Recorder
from flipback.telemetry import CallSpan, CallTracer, EventLog


UNVERSIONED = "unversioned"
_FAULT = "fault in telemetry or evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One route's collaborators; nothing in here raises while a call is served."""

    plan: RolloutPlan
    metrics: frozenset[str]
    recorder: Recorder
    epochs: EpochBook
    keyring: Keyring
    tracer: CallTracer
    events: EventLog
    faults: Faults
    clock: Clock
    flag_variants: frozenset[str] = field(default_factory=frozenset[str])

    def expose(self, assignment: Assignment) -> None:
        """Count one exposure."""
        try:
            self.recorder.expose(self.plan.route, assignment)
            if self.events.per_call:
                self.events.exposure(self.plan.route, assignment)
        except Exception as error:  # noqa: BLE001 - evidence must not fail a call
            self.faults.note(self.plan.route, _FAULT, repr(error))

    def begin(self, assignment: Assignment) -> Exchange:
        """Count the exposure, since the call starts now."""
        self.expose(assignment)
        return Exchange(
            self.plan.route,
            assignment,
            metrics=self.metrics,
            sign=self.keyring.issue,
            faults=self.faults,
        )

    def span(self, assignment: Assignment, user: EvaluationContext) -> CallSpan:
        """Start the call span."""
        try:
            key = targeting_key(user) if self.tracer.shows_keys else None
            return self.tracer.begin(self.plan.route, assignment, key)
        except Exception as error:  # noqa: BLE001 - telemetry must not fail a call
            self.faults.note(self.plan.route, _FAULT, repr(error))
            return CallSpan.none()

    def finish(self, exchange: Exchange, span: CallSpan) -> None:
        """Book the outcomes and end the span."""
        try:
            span.end()
            self._settle(exchange)
        except Exception as error:  # noqa: BLE001 - evidence must not fail a call
            self.faults.note(self.plan.route, _FAULT, repr(error))

    def _settle(self, exchange: Exchange) -> None:
        assignment, outcomes = exchange.assignment, exchange.outcomes
        promised = exchange.promised
        if promised is not None:
            self._book_late(exchange, promised)
            outcomes = {m: v for m, v in outcomes.items() if m in promised}
        self.recorder.settle(self.plan.route, assignment, outcomes)
        if self.events.per_call:
            for metric, value in exchange.outcomes.items():
                self.events.outcome(
                    self.plan.route, assignment.decision_id, metric, value
                )

    def _book_late(self, exchange: Exchange, promised: frozenset[str]) -> None:
        """Book what a receipt issued before the end of the call may bring as well."""
        receipt = self.keyring.issue(self.plan.route, exchange.assignment, promised)
        ticket = self.keyring.open(receipt)
        for metric in exchange.outcomes.keys() - promised:
            self.late(ticket, metric, exchange.outcomes[metric])

    def late(self, ticket: Ticket, metric: str, value: float) -> bool:
        """Book an outcome by receipt; see `Router.record`."""
        if not ticket.randomized or ticket.role is Role.OTHER:
            return False
        if metric in ticket.settled:
            return False
        is_event = metric in self.plan.events
        return self.recorder.late(
            LateOutcome(
                decision_id=ticket.decision_id,
                metric=metric,
                expires_at=ticket.expires_at,
                keys=tuple(
                    CellKey(
                        ticket.route,
                        ticket.attempt,
                        ticket.epoch,
                        ticket.rule,
                        0,
                        metric,
                        cohort,
                        ticket.variant,
                    )
                    for cohort in (EVERYBODY, *ticket.cohorts)
                ),
                bucket=ticket.subject % BUCKETS,
                value=value,
                subject=ticket.subject if is_event else None,
            )
        )

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
