"""A candidate that is slow for the unlucky few, and quick for everybody else."""

import random
from collections.abc import Iterator

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Router
from flipback.assignment import EVERYBODY
from flipback.control import Look
from flipback.exposure import Epoch
from flipback.signals import Measure
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from flipback.verdict import Finding
from projects import ROUTE, CreateProject, Project


ENOUGH = 2_300
"""Calls of which control gets more than it needs for its percentiles."""

PLAN = {
    "guardrails": [
        {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
        {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.1},
    ],
    "cohorts": None,
}


class Service:
    """Two models whose latency the clock is told; the candidate's may change."""

    def __init__(self, router: Router, clock: FakeClock) -> None:
        self.route: flipback.Route[[], None] = router.route(ROUTE)
        self.degraded = False
        self._numbers = random.Random(5)  # noqa: S311 - not a secret
        self._users = 0
        self._clock = clock
        self.route.variant("v1", version="1")(self.control)
        self.route.variant("v2", version="1")(self.candidate)

    def control(self) -> None:
        self._clock.advance(self._numbers.lognormvariate(-1.0, 0.5))

    def candidate(self) -> None:
        latency_s = self._numbers.lognormvariate(-1.0, 0.5)
        if self.degraded:
            latency_s *= 4.0 if self._numbers.random() < 0.15 else 0.85
        self._clock.advance(latency_s)

    def serve(self, calls: int) -> None:
        for _ in range(calls):
            self._users += 1
            self.route.call(EvaluationContext(f"user-{self._users}"))

    @property
    def epoch(self) -> str:
        return self.route.decide(EvaluationContext("somebody")).assignment.epoch


def tail(look: Look) -> Finding:
    return next(
        each
        for each in look.analysis.findings
        if (each.metric, each.measure, each.cohort)
        == ("latency_s", Measure.TAIL, EVERYBODY)
    )


def epochs(project: Project) -> tuple[Epoch, ...]:
    store = SqliteStore(project.store, clock=FakeClock())
    try:
        return tuple(store.epochs(ROUTE))
    finally:
        store.close()


@pytest.fixture
def made(project: CreateProject) -> Project:
    return project(plan=PLAN)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def router(made: Project, clock: FakeClock) -> Iterator[Router]:
    with Router.from_config(made.config, clock=clock) as started:
        yield started


def test_a_tail_that_regresses_is_caught_by_controls_frozen_percentile(
    router: Router, clock: FakeClock, made: Project
) -> None:
    service = Service(router, clock)
    before = service.epoch
    service.serve(ENOUGH)
    (first,) = router.guard.look()
    assert first.kill is None
    assert tail(first).candidate_n == 0

    assert service.epoch != before
    service.serve(300)
    (alike,) = router.guard.look()
    assert alike.kill is None
    assert tail(alike).candidate_n > 0

    service.degraded = True
    service.serve(700)
    (look,) = router.guard.look()
    assert look.kill is not None
    assert Measure.TAIL in {each.measure for each in look.analysis.broken}
    frozen = [epoch.thresholds for epoch in epochs(made)]
    assert frozen[0] == {}
    assert 0.6 < frozen[1]["latency_s"].tail < 1.1


def test_processes_come_to_the_same_epoch_whoever_looks(
    router: Router, clock: FakeClock, made: Project
) -> None:
    service = Service(router, clock)
    with Router.from_config(made.config, clock=clock) as other:
        second = Service(other, clock)
        assert second.epoch == service.epoch
        service.serve(ENOUGH)
        before = service.epoch
        router.guard.look()
        assert service.epoch != before
        assert other.flush()
        assert second.epoch == service.epoch
        service.serve(500)
        other.guard.look()
        router.guard.look()
        assert second.epoch == service.epoch
    restarted = Router.from_config(made.config, clock=clock)
    after = Service(restarted, clock)
    with restarted:
        assert after.epoch == service.epoch


def test_a_late_latency_is_measured_by_the_percentiles_of_its_decision(
    router: Router, clock: FakeClock, made: Project
) -> None:
    service = Service(router, clock)
    service.serve(ENOUGH)
    router.guard.look()
    receipts = [
        service.route.decide(EvaluationContext(f"late-{n}")).expose() for n in range(40)
    ]
    with Router.from_config(made.config, clock=clock) as collecting:
        assert all(collecting.record(each, "latency_s", 60.0) for each in receipts)
    router.flush()
    store = SqliteStore(made.store, clock=clock)
    cells = store.evidence(ROUTE, attempt=1, trip=0).cells
    store.close()
    found = [
        (cell.total_n, cell.mean)
        for key, cell in cells.items()
        if (key.metric, key.cohort) == ("latency_s|tail", EVERYBODY)
    ]
    assert sum(n for n, _ in found) == 40
    assert {mean for _, mean in found} == {1.0}
