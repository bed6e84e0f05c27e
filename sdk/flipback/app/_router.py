"""The router: what an application holds in its hand."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from typing_extensions import override

from flipback.app._assembly import Assembly, assemble
from flipback.app._routes import Routes
from flipback.app._runtime import Runtime
from flipback.config import Settings, find_config, load_settings
from flipback.control import GuardrailEvaluator, Look, SystemClock
from flipback.errors import RouteError
from flipback.plan import nearest
from flipback.ports import Clock
from flipback.routing import Route, described, named, not_a_value
from flipback.routing._route import P, R


class Router:
    """Routes model calls by feature flag and flips the flag back on proof of harm.

    The first call of a process starts its background threads. `with router:`
    starts them at once and, at the end, flushes what was counted:

        router = flipback.Router.from_config("flipback.toml")
        summarize = router.route("summarizer")

    After the end of the `with` block control serves.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._assembly: Assembly = assemble(
            settings, clock or SystemClock(), due=self._due
        )
        self._runtime = Runtime(self._assembly)
        self._routes = Routes(self._assembly, ready=self._runtime.ready)

    @classmethod
    def from_config(
        cls, path: str | Path | None = None, *, clock: Clock | None = None
    ) -> Self:
        """Build a router from `flipback.toml` and the plans that it names.

        Args:
            path: The file; else the variable FLIPBACK_CONFIG, else `flipback.toml`
                in the working directory.
            clock: The time, for tests.

        Raises:
            ConfigError: With every mistake in the files, not only the first. A
                flag service or store that is down is none: control serves.
        """
        explicit = None if path is None else str(path)
        found = find_config(explicit, os.environ, Path.cwd())
        return cls(load_settings(found), clock=clock)

    @property
    def guard(self) -> GuardrailEvaluator:
        """Return the guardrail evaluator, for callers who drive its looks."""
        return self._assembly.guard

    def route(
        self, name: str, *, expected: tuple[type[Exception], ...] = ()
    ) -> Route[P, R]:
        """Return the route of this name; the same one each time.

        Args:
            name: The `route` of one of the plans.
            expected: Exceptions that are the caller's own fault, such as a
                validation error: passed on, and held against no variant.

        Raises:
            RouteError: No plan is about such a route, or it was asked for before
                with other `expected` exceptions.
        """
        plan = self._assembly.ground.plans.get(name)
        if plan is None:
            raise RouteError(self._unknown(name))
        # The annotation at the call says what P and R are; here nobody knows.
        return cast("Route[P, R]", self._routes.route(plan, expected))

    def record(self, receipt: str, metric: str, value: float) -> bool:
        """Attach a late outcome to the decision that a receipt names; never raises.

        Each metric counts once per decision, however often and wherever it is
        recorded. Returns False, counted and logged once, where the outcome was
        not taken: a receipt that is damaged, expired or of another secret, a
        metric that the plan does not name, a value that is not finite, or a
        decision that is not compared.
        """
        try:
            problem = self._record(receipt, metric, value)
        except ValueError as error:  # a sentence of ours about the receipt
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - a late outcome must not fail a call
            problem = described(error)
        if problem:
            self._assembly.ground.faults.note(
                "*", f"outcome refused: {named(metric)}", problem
            )
        return not problem

    def start(self) -> None:
        """Start now what the first call would start; again is no error.

        Raises:
            RouteError: A route has no function for control; nothing is started.
        """
        self._routes.check()
        self._runtime.start()

    def step(self) -> tuple[Look, ...]:
        """Flush, look at every route once, and move the rollouts that are due.

        For callers who set `[guard] run = "manual"`; else a thread does it.

        Raises:
            StoreError: The evidence cannot be read; nothing was decided.
        """
        return self._runtime.step()

    def stop(self) -> None:
        """Flush and stop; control serves from now on."""
        self._runtime.stop()

    def flush(self) -> bool:
        """Write what was counted to the store now; False if it did not take it."""
        return self._runtime.flush()

    def faults(self) -> Mapping[tuple[str, str], int]:
        """Return how often what went wrong, by (route, kind); `*` is no one route."""
        return self._assembly.ground.faults.counts()

    def __enter__(self) -> Self:
        """Start; see `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; see `stop`."""
        self.stop()

    @override
    def __repr__(self) -> str:
        return f"Router({str(self._assembly.settings.path)!r})"

    def _due(self, candidate_exposures: int) -> None:
        self._runtime.due(candidate_exposures)

    def _unknown(self, name: str) -> str:
        plans = self._assembly.ground.plans
        known = ", ".join(map(repr, sorted(plans)))
        hint = nearest(name, plans, otherwise="add a plan for it")
        return f"no plan is about route {name!r}, only {known}; {hint}"

    def _record(self, receipt: str, metric: object, value: float) -> str:
        """Book a late outcome; return why not, or an empty string."""
        if self._runtime.stopped:
            return "the router was stopped; nothing is written any more"
        self._runtime.ready()
        ticket = self._assembly.keyring.open(receipt)
        plan = self._assembly.ground.plans.get(ticket.route)
        if plan is None:
            return self._unknown(ticket.route)
        if not isinstance(metric, str) or metric not in plan.recorded:
            known = ", ".join(sorted(plan.recorded))
            return f"no guardrail or hypothesis names it; the plan knows {known}"
        if problem := not_a_value(value):
            return problem
        return self._routes.parts(plan).late(ticket, metric, float(value))
