"""A label that comes weeks later decides after the proxy has had its say."""

from collections.abc import Sequence

from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Reason, Router
from flipback.assignment import EVERYBODY
from flipback.booking import LATE
from flipback.control import Look
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from flipback.verdict import Action, Finding
from projects import ROUTE, CreateProject, Project


DAY_S = 86_400.0
CALLS = 600
PLAN = {
    "guardrails": [
        {
            "metric": "complained",
            "fails_on": "increase",
            "tolerance": 0.2,
            "on_fail": "pause",
        },
        {"metric": "cancelled", "fails_on": "increase", "tolerance": 0.2},
    ],
    "metrics": {
        "complained": {"kind": "event"},
        "cancelled": {"kind": "event", "matures_after": "30d"},
    },
}
Served = list[tuple[str, str]]
"""Variant and receipt of each call."""


def serve(router: Router, calls: int = CALLS) -> Served:
    """Serve users, of whom the candidate's complain at once."""
    route: flipback.Route[[], str] = router.route(ROUTE)
    receipts: list[str] = []

    def register(name: str, every: int) -> None:
        @route.variant(name, version="1")
        def answer() -> str:
            receipts.append(flipback.receipt() or "")
            flipback.record("complained", len(receipts) % every == 0)
            return name

    register("v1", every=50)
    register("v2", every=3)
    users = (EvaluationContext(f"user-{number}") for number in range(calls))
    return [(route.call(user), receipts[-1]) for user in users]


def label(project: Project, clock: FakeClock, served: Sequence[tuple[str, str]]) -> int:
    """Let another process attach labels; return how many it took."""
    with Router.from_config(project.config, clock=clock) as collecting:
        return sum(
            collecting.record(receipt, "cancelled", variant == "v2" and n % 2 == 0)
            for n, (variant, receipt) in enumerate(served)
        )


def finding(look: Look, metric: str) -> Finding:
    return next(
        each
        for each in look.analysis.findings
        if (each.metric, each.cohort) == (metric, EVERYBODY)
    )


def labelled(project: Project, clock: FakeClock) -> int:
    """Return how many labels the store has."""
    store = SqliteStore(project.store, clock=clock)
    try:
        cells = store.evidence(ROUTE, attempt=1, trip=0).cells
    finally:
        store.close()
    return sum(
        cell.total_n
        for key, cell in cells.items()
        if (key.metric, key.cohort) == ("cancelled@2592000", EVERYBODY)
    )


def test_a_label_rolls_back_once_its_exposures_are_mature(
    project: CreateProject,
) -> None:
    made, clock = project(plan=PLAN), FakeClock()
    with Router.from_config(made.config, clock=clock) as router:
        served = serve(router)
        (proxy,) = router.guard.look()
        assert (proxy.analysis.action, proxy.kill) == (Action.PAUSE, None)
        assert finding(proxy, "cancelled").candidate_n == 0

        clock.advance(25 * DAY_S)
        assert label(made, clock, served) == CALLS
        (early,) = router.guard.look()
        assert early.kill is None
        assert finding(early, "cancelled").candidate_n == 0

        clock.advance(7 * DAY_S)
        (ripe,) = router.guard.look()
        assert ripe.analysis.action is Action.ROLL_BACK
        assert ripe.kill is not None
        assert ripe.kill.latch.reason.startswith("cancelled")
        found = finding(ripe, "cancelled")
        assert found.candidate_n + found.control_n == CALLS
        user = EvaluationContext("user-0")
        route: flipback.Route[[], str] = router.route(ROUTE)
        assert route.decide(user).assignment.reason is Reason.KILLED


def test_a_label_that_comes_too_late_is_counted_and_changes_nothing(
    project: CreateProject,
) -> None:
    made, clock = project(plan=PLAN), FakeClock()
    with Router.from_config(made.config, clock=clock) as router:
        served = serve(router)
        clock.advance(33 * DAY_S)
        assert label(made, clock, served[:10]) == 0
        (look,) = router.guard.look()
    assert look.analysis.excluded[LATE] == 10
    assert finding(look, "cancelled").candidate_value in {None, 0.0}
    assert look.kill is None


def test_a_label_in_time_counts_once_however_often_it_is_sent(
    project: CreateProject,
) -> None:
    made, clock = project(plan=PLAN), FakeClock()
    with Router.from_config(made.config, clock=clock) as router:
        served = serve(router, calls=200)
        for _ in range(3):
            clock.advance(5 * DAY_S)
            assert label(made, clock, served) == 200
        clock.advance(30 * DAY_S)
        (look,) = router.guard.look()
    assert labelled(made, clock) == 200
    assert look.analysis.excluded.get(LATE, 0) == 0
