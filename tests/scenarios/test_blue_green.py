"""Blue-green: green is warmed up unseen, the fleet is switched, and blue stays hot."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Reason
from flipback.app import Operator
from flipback.config import load_settings
from flipback.ports import EntryKind
from flipback.rollout import Phase
from flipback.testing import FakeClock
from projects import FLAG, create_project
from troubles import PATIENCE_S


pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "blue-green.md"
PLAN = PAGE.read_text().split("```toml\n")[1].split("```")[0]
"""The one that people are told to write."""

ROUTE, BLUE, GREEN = "recommendations", "collaborative-filtering", "deep-learning"
PAUSE_S = 0.2
"""Between two calls, so 60 shadow answers a minute."""

BLUE_S, COLD_BLUE_S = 0.02, 0.5
GREEN_S, COLD_GREEN_S = 0.01, 0.4
WARM_AFTER = 600
"""Answers after which green is as fast as it will be."""

COOLS_AFTER_S = 60.0
"""Idle seconds after which blue has lost its caches."""


class Fleet:
    """Two versions on a clock that goes on while they answer.

    Attributes:
        green_fails: Whether green raises.
    """

    def __init__(self, folder: Path) -> None:
        plan = PLAN.replace("recommender-model", FLAG)
        project = create_project(folder, plan=plan, split={BLUE: 100, GREEN: 0})
        self.clock = FakeClock()
        self.rng = random.Random(1)  # noqa: S311 - scatter that is the same each time
        self.router = flipback.Router.from_config(project.config, clock=self.clock)
        self.route: flipback.Route[[], str] = self.router.route(ROUTE)
        self.route.variant(BLUE, version="1")(self._blue)
        self.route.variant(GREEN, version="1")(self._green)
        self.operator = Operator.open(load_settings(project.config), clock=self.clock)
        self.assembly = self.router._assembly  # noqa: SLF001 - its clock is ours
        self.green_fails = False
        self.green_answers = 0
        self._blue_at = self.clock.monotonic()
        self._users = 0
        self.router.start()
        self.settle()

    def close(self) -> None:
        self.operator.close()
        self.router.stop()

    def _blue(self) -> str:
        idle = self.clock.monotonic() - self._blue_at
        self._take(COLD_BLUE_S if idle > COOLS_AFTER_S else BLUE_S)
        self._blue_at = self.clock.monotonic()
        return "blue"

    def _green(self) -> str:
        if self.green_fails:
            raise RuntimeError("green is broken")
        cold = max(0.0, 1 - self.green_answers / WARM_AFTER)
        self._take(GREEN_S + cold * (COLD_GREEN_S - GREEN_S))
        self.green_answers += 1
        return "green"

    def _take(self, seconds: float) -> None:
        self.clock.advance(seconds * self.rng.lognormvariate(0, 0.05))

    def settle(self) -> None:
        """Let the application see flag and records as they are now."""
        self.assembly.flags.provider.reload()
        self.assembly.killswitch.refresh()
        self.assembly.shadows.tend()

    def call(self) -> tuple[str, float]:
        """Serve a new user; return who answered and how long it took."""
        self._users += 1
        began = self.clock.monotonic()
        try:
            said = self.route.call(EvaluationContext(f"user-{self._users}"))
        except RuntimeError:
            said = "failed"
        took = self.clock.monotonic() - began
        self._answered()
        self.clock.advance(PAUSE_S)
        return said, took

    def _answered(self) -> None:
        """Wait for the answer that nobody waits for: one clock, one at a time."""
        done = threading.Event()
        if self.assembly.shadows.offer(done.set) and self.phase is Phase.SHADOW:
            assert done.wait(PATIENCE_S)

    def minute(self) -> list[tuple[str, float]]:
        """Serve for a minute, and look."""
        served = [self.call() for _ in range(round(60 / PAUSE_S))]
        self.router.step()
        self.settle()
        return served

    @property
    def phase(self) -> Phase:
        return self.assembly.killswitch.switches[ROUTE].standing.phase


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


def switched(fleet: Fleet) -> list[tuple[str, float]]:
    """Warm green up unseen, until it is switched to; return what users had."""
    assert fleet.operator.start(ROUTE, actor="ada").phase is Phase.SHADOW
    fleet.settle()
    served: list[tuple[str, float]] = []
    for _ in range(60):
        if fleet.phase is not Phase.SHADOW:
            return served
        served += fleet.minute()
    raise AssertionError(fleet.operator.status()[0].gate)


def test_green_is_warmed_up_unseen_and_switched_to_when_it_is_stable(
    fleet: Fleet,
) -> None:
    served = switched(fleet)
    assert fleet.green_answers > WARM_AFTER
    assert {said for said, _ in served} == {"blue"}
    assert max(took for _, took in served) < 1.5 * BLUE_S
    minute = fleet.minute()
    green = [took for said, took in minute if said == "green"]
    assert 0.9 < len(green) / len(minute) < 1
    assert max(green) < 1.5 * GREEN_S
    [step] = _entries(fleet, EntryKind.ADVANCE)
    assert "95 % of subjects" in step.note


def test_a_regression_is_back_on_a_hot_blue_at_the_next_call(fleet: Fleet) -> None:
    switched(fleet)
    for _ in range(10):
        fleet.minute()
    fleet.green_fails = True
    failed = 0
    while not fleet.assembly.killswitch.latch(ROUTE).held:
        failed += fleet.call()[0] == "failed"
        fleet.router.step()
    assert failed < 25
    back = fleet.minute()
    assert {said for said, _ in back} == {"blue"}
    assert max(took for _, took in back) < 1.5 * BLUE_S
    decision = fleet.route.decide(EvaluationContext("user-0"))
    assert decision.assignment.reason is Reason.KILLED
    assert len(_entries(fleet, EntryKind.KILL)) == 1


def test_green_that_never_settles_is_never_switched_to(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(10**9))
    monkeypatch.setattr(
        fleet, "_take", lambda _: fleet.clock.advance(0.02 * 1.0005 ** next(times))
    )
    fleet.operator.start(ROUTE, actor="ada")
    fleet.settle()
    for _ in range(12):
        fleet.minute()
    assert fleet.phase is Phase.SHADOW
    gate = fleet.operator.status()[0].gate
    assert gate is not None
    assert any("is not stable yet" in wait for wait in gate.waits)


def _entries(fleet: Fleet, kind: EntryKind) -> list[flipback.ports.LedgerEntry]:
    every = fleet.assembly.ground.ledger.entries()
    return [entry for entry in every if entry.kind is kind]
