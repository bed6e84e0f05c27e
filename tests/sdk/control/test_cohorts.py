"""One cohort is flipped back alone, and the rest goes on."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from days import BASE, Days
from flipback.ports import EntryKind
from flipback.rollout import Phase
from projects import ROUTE, create_project


CORRECT: Mapping[str, object] = {
    "metric": "correct",
    "fails_on": "decrease",
    "tolerance": 0.05,
    "scope": "cohort",
}
NAME = f"{ROUTE}[plan=enterprise]"
Live = Callable[..., Days]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    opened: list[Days] = []

    def build(**plan: object) -> Days:
        keys = {
            "stages": [{"weight": 20}, {"weight": 50, "window": "9d"}],
            "guardrails": [CORRECT],
            **plan,
        }
        project = create_project(tmp_path, plan=keys)
        project.write_flag({"v1": 100, "v2": 0})
        opened.append(Days(project, rates=enterprise_loses, users_a_day=20_000))
        return opened[-1]

    yield build
    for days in opened:
        days.close()


def enterprise_loses(_day: float, metric: str, cohort: str) -> float:
    """Return rates that are better for all but one cohort."""
    if metric != "correct":
        return BASE[metric]
    return 0.5 if cohort == "plan=enterprise" else 0.82


def flipped(days: Days) -> None:
    """Live until the one cohort is on control."""
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: bool(days.operator.status()[0].killed_cohorts), most=2)


def served(days: Days, plan: str) -> set[str]:
    days.reload()
    route: flipback.Route[[str], str] = days.router.route(ROUTE)
    users = (EvaluationContext(f"u{n}", {"plan": plan}) for n in range(200))
    return {route.decide(user).variant for user in users}


def test_a_cohort_that_loses_is_flipped_back_alone(live: Live) -> None:
    days = live()
    flipped(days)
    assert served(days, "enterprise") == {"v1"}
    assert served(days, "free") == {"v1", "v2"}
    status = days.operator.status()[0]
    assert (status.phase, status.latch.trip) == (Phase.CANARY, 0)
    assert [latch.route for latch in status.killed_cohorts] == [NAME]
    [kill] = [e for e in _entries(days) if e.kind is EntryKind.KILL]
    assert kill.route == NAME
    exceptions = days.operator.status()[0].flag.exceptions
    assert any("enterprise" in exception for exception in exceptions)


def test_the_rest_is_promoted_without_the_cohort(live: Live) -> None:
    days = live(stages=[{"weight": 20}, {"weight": 50}])
    flipped(days)
    days.live_until(lambda: days.phase is Phase.WATCH, most=30)
    assert days.weight == 95
    assert served(days, "enterprise") == {"v1"}
    assert "v2" in served(days, "free")


def test_a_cohort_that_is_released_is_looked_at_afresh(live: Live) -> None:
    days = live()
    flipped(days)
    done = days.operator.release(NAME, trip=1, reason="fixed", actor="bob")
    assert not done.refused
    days.rates = lambda _day, metric, _cohort: BASE[metric]
    days.project.write_flag({"v1": 50, "v2": 50})
    days.router.step()
    assert days.operator.status()[0].exposures == 0
    days.live(1)
    assert not days.operator.status()[0].killed_cohorts
    assert "v2" in served(days, "enterprise")


def test_a_second_cohort_that_loses_takes_everybody_back(live: Live) -> None:
    days = live()
    flipped(days)
    days.rates = lambda _day, metric, _cohort: 0.3 if metric == "correct" else 0.02
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=3)
    assert served(days, "free") == {"v1"}


def test_a_person_kills_one_cohort_and_releases_it(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.operator.kill(
        [ROUTE], cohort="plan=free", reason="they complain", actor="ada", wait_s=0
    )
    days.router.step()
    assert served(days, "free") == {"v1"}
    assert "v2" in served(days, "enterprise")
    name = f"{ROUTE}[plan=free]"
    assert not days.operator.release(name, trip=1, reason="fine", actor="ada").refused


def test_a_service_that_cannot_keep_one_cohort_out_takes_everybody_back(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = live()
    writer = days.assembly.flags.writer
    without = type(writer).capabilities.fget
    monkeypatch.setattr(
        type(writer),
        "capabilities",
        property(lambda self: _unable(without(self))),
    )
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=3)
    assert served(days, "free") == {"v1"}


def _unable(capabilities: object) -> object:
    return type(capabilities)(cas=capabilities.cas, cohorts=False)


def _entries(days: Days) -> list:
    return list(days.assembly.ground.ledger.entries())


def test_a_killed_cohort_stays_killed_when_the_plan_watches_it_no_more(
    live: Live,
) -> None:
    days = live()
    flipped(days)
    plan = days.project.path / "rollouts" / "plan.toml"
    text = plan.read_text().replace('"enterprise"', '"partner"')
    plan.write_text(text)
    days.router.stop()
    days.operator.close()
    days.deploy()
    days.project.write_flag({"v1": 50, "v2": 50})
    assert served(days, "enterprise") == {"v1"}
    assert served(days, "free") == {"v1", "v2"}
