"""A small application on a project: two variants, of which the candidate fails."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Route, Router
from flipback.app import Operator
from flipback.assignment import EVERYBODY
from flipback.config import load_settings
from flipback.control import SystemClock
from flipback.exposure import EXPOSURE
from flipback.ports import Clock
from flipback.stores import SqliteStore
from projects import ROUTE, Project


ENOUGH = 200
"""Calls that are more than enough to prove that a candidate always fails."""


class App:
    """An application in this process."""

    def __init__(
        self, project: Project, *, fails: bool = True, clock: Clock | None = None
    ) -> None:
        self.project = project
        self.router = Router.from_config(project.config, clock=clock)
        self.route: Route[[], str] = self.router.route(ROUTE)
        self._users = 0

        @self.route.variant("v1", version="1")
        def control() -> str:
            return "v1"

        @self.route.variant("v2", version="1")
        def candidate() -> str:
            if fails:
                raise RuntimeError("the candidate is broken")
            return "v2"

        self.functions = (control, candidate)

    def __enter__(self) -> Self:
        self.router.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.router.stop()

    def serve(self, calls: int = ENOUGH) -> Counter[str]:
        """Serve new users once started; return how often each variant was chosen."""
        self.router.start()
        chosen: Counter[str] = Counter()
        for _ in range(calls):
            self._users += 1
            user = EvaluationContext(f"user-{self._users}", {"plan": "free"})
            chosen[self.route.decide(user).variant] += 1
            self.route.call(user)
        return chosen

    def reason(self) -> flipback.Reason:
        """Return why the next call is served what it is."""
        return self.route.decide(EvaluationContext("user-0")).assignment.reason

    @property
    def open(self) -> bool:
        """Return whether the flag may speak."""
        return self.reason() is flipback.Reason.SPLIT

    @property
    def said(self) -> str:
        """Return which kinds of faults were noted."""
        return "\n".join(kind for _, kind in self.router.faults())


@contextmanager
def operator(project: Project, clock: Clock | None = None) -> Iterator[Operator]:
    """Open what a person at a terminal has."""
    opened = Operator.open(load_settings(project.config), clock=clock)
    try:
        yield opened
    finally:
        opened.close()


def exposures(project: Project, *, trip: int = 0) -> int:
    """Return the exposures that the store has of this trip."""
    store = SqliteStore(project.store, clock=SystemClock())
    try:
        found = store.evidence(ROUTE, attempt=1, trip=trip)
    finally:
        store.close()
    return sum(
        cell.total_n
        for key, cell in found.cells.items()
        if key.metric == EXPOSURE and key.cohort == EVERYBODY
    )
