"""A recorded log falls where the router that it was recorded from fell."""

from random import Random

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback.config import load_settings
from flipback.replay import Replay
from flipback.routing import Keyring
from flipback.testing import FakeClock
from logs import Bench, Row
from projects import ROUTE, CreateProject


SECRET = "of the application that was recorded"  # noqa: S105 - of a test
MOST = 6_000


class Recorded:
    """An application whose candidate is worse for enterprises, and its own log."""

    def __init__(self, router: flipback.Router, clock: FakeClock) -> None:
        self._router = router
        self._clock = clock
        self._dice = Random(5)  # noqa: S311 - must be repeatable, not secret
        self._route: flipback.Route[[Row], None] = router.route(ROUTE)
        self._route.variant("v1", version="1")(self._record)
        self._route.variant("v2", version="1")(self._record)
        self.candidates = 0
        self.rows: list[Row] = []

    def until_it_flips(self) -> flipback.Look:
        for number in range(MOST):
            if self._serve(number) and self._is_due():
                (look,) = self._router.guard.look()
                if look.kill is not None:
                    return look
        raise AssertionError("it did not flip")

    def _serve(self, number: int) -> bool:
        self._clock.advance(0.1)
        plan = self._dice.choice(["free", "free", "enterprise", "trial"])
        user = EvaluationContext(f"user-{self._dice.randrange(MOST)}", {"plan": plan})
        decided = self._route.decide(user).assignment
        row: Row = {
            "id": f"r{number}",
            "t": self._clock.now().timestamp(),
            "subject": user.targeting_key,
            "variant": decided.variant,
            "rule": decided.rule,
            "cohorts": {"plan": plan},
            "weight": 50,
        }
        self.rows.append(row)
        self._route.call(user, row)
        served = decided.variant == "v2"
        self.candidates += served
        return served

    def _record(self, row: Row) -> None:
        worse = row["variant"] == "v2" and row["cohorts"]["plan"] == "enterprise"
        metrics = {
            "error": float(self._dice.random() < 0.03),
            "resolved": float(self._dice.random() < (0.5 if worse else 0.8)),
        }
        row["metrics"] = metrics
        for metric, value in metrics.items():
            flipback.record(metric, value)

    def _is_due(self) -> bool:
        return self.candidates <= 100 or self.candidates % 25 == 0


def test_replay_falls_at_the_call_where_the_router_fell(
    project: CreateProject, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIPBACK_SECRET", SECRET)
    clock, folder = FakeClock(), project()
    with flipback.Router.from_config(folder.config, clock=clock) as router:
        app = Recorded(router, clock)
        live = app.until_it_flips().analysis
    (plan,) = load_settings(folder.config).plans
    subject = Keyring(SECRET.encode, clock).subject
    again = Bench(bench.folder, Replay(plan=plan, subject=subject))
    found = again.run([*app.rows, *app.rows[-1:]]).ended
    assert found.outcome == "roll back"
    assert (found.where.line, found.observed) == (len(app.rows), app.candidates)
    assert found.analysis.log_g == pytest.approx(live.log_g, rel=1e-9, abs=1e-9)
    for replayed, seen in zip(found.analysis.findings, live.findings, strict=True):
        assert (replayed.metric, replayed.cohort) == (seen.metric, seen.cohort)
        assert replayed.log_e == pytest.approx(seen.log_e, rel=1e-9, abs=1e-9)
        assert replayed.peak_log_e == pytest.approx(seen.peak_log_e, rel=1e-9, abs=1e-9)
