"""A whole rollout: a week of shadow, 1 % to 100 %, at 100,000 users a day.

Traffic and base rates are those of `days`: a tenth of the users belong to enterprises,
2 % of answers fail, and 80 % are correct. All users of a day are new.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from days import BASE, COHORTS, TRAFFIC, Days, alike
from flipback.plan import RolloutPlan
from flipback.ports import EntryKind
from flipback.power import power
from flipback.rollout import Phase
from flipback_providers.flagfile import FlagFileWriter
from projects import ROUTE, create_project


pytestmark = pytest.mark.long

Live = Callable[..., Days]

ERROR: Mapping[str, object] = {
    "metric": "error",
    "fails_on": "increase",
    "tolerance": 0.5,
    "kind": "event",
}
CORRECT: Mapping[str, object] = {
    "metric": "correct",
    "fails_on": "decrease",
    "tolerance": 0.05,
}
PLAN: Mapping[str, object] = {
    "route": ROUTE,
    "flag": "support-model",
    "control": "v1",
    "candidate": "v2",
    "cohorts": {"plan": ["free", "enterprise"]},
    "watch": "7d",
    "stages": [
        {"shadow": 0.2, "window": "7d"},
        {"weight": 1, "window": "24h", "min_exposures": 100},
        {"weight": 5, "window": "24h"},
        {"weight": 25, "window": "24h"},
        {"weight": 50, "window": "24h"},
        {"weight": 100, "window": "24h"},
    ],
    "guardrails": [ERROR, CORRECT],
}
BY_HAND: Mapping[str, object] = {
    **PLAN,
    "stages": [
        {"shadow": 0.2, "window": "1d"},
        {"weight": 1, "window": "12h"},
        {"weight": 5, "window": "12h"},
        {"weight": 25, "window": "12h"},
        {"weight": 100, "window": "12h"},
    ],
}
"""A quick one, for what people do in between."""

ALL_CONTROL = {"v1": 100, "v2": 0}
SHADOW_DAYS = 7


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    opened: list[Days] = []

    def started(plan: Mapping[str, object] = PLAN, **keys: object) -> Days:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        project = create_project(folder, plan=plan)
        project.write_flag(ALL_CONTROL)
        days = Days(project, **keys)
        opened.append(days)
        moved = days.operator.start(ROUTE, actor="ada")
        assert moved.refused == ""
        return days

    yield started
    for days in opened:
        days.close()


def course(days: Days, most: float, *, hours: float = 2.0) -> list[tuple[float, float]]:
    """Live until the candidate is promoted; return each weight and when it came."""
    seen = [(days.weight, days.day)]
    for _ in range(round(most * 24 / hours)):
        if days.phase is Phase.WATCH:
            return seen
        days.step(hours)
        if days.weight != seen[-1][0]:
            seen.append((days.weight, days.day))
    raise AssertionError(f"not within {most} days: {seen}, {days.phase}")


def fails_after(day: float) -> Callable[[float, str, str], float]:
    """Return the rates of who is right a tenth less often from a day on."""

    def fading(now: float, metric: str, cohort: str) -> float:
        worse = 0.9 if metric == "correct" and now >= day else 1.0
        return worse * alike(now, metric, cohort)

    return fading


def enterprise_loses(day: float, metric: str, cohort: str) -> float:
    """Return rates that are better for all but the one cohort, which loses 20 %."""
    if metric == "correct":
        return 0.8 * BASE[metric] if cohort == "plan=enterprise" else 0.83
    return alike(day, metric, cohort)


def assert_latched(days: Days) -> None:
    """Nothing ramps again, whatever the evidence and however long one waits."""
    served = len(days.served)
    days.live(2, hours=4)
    assert all(each.candidate == 0 for each in days.served[served:])
    assert (days.phase, days.weight) == (Phase.ROLLED_BACK, 0)
    assert "killed" in days.operator.start(ROUTE, actor="ada").refused
    assert len(days.entries(EntryKind.KILL)) == 1


def test_a_good_candidate_is_promoted_without_a_hand(live: Live) -> None:
    days = live()
    days.live(SHADOW_DAYS - 1, hours=4)
    assert days.phase is Phase.SHADOW
    assert all(served.candidate == 0 for served in days.served)
    met: frozenset[str] = frozenset()
    for weight in (1, 5, 25, 50, 95):
        days.live_until(lambda at=weight: days.weight == at, most=2)
        now = days.on_candidate("plan=free") | days.on_candidate("plan=enterprise")
        assert met <= now
        met = now
    assert len(met) > 0.9 * 600
    days.live_until(lambda: days.phase is Phase.WATCH, most=2)
    assert (days.weight, round(days.day)) == (95, SHADOW_DAYS + 5)
    assert_the_stage_is_weighed_on_its_own(days)
    assert "is watched for 7d" in days.operator.finish(ROUTE, actor="ada").refused
    days.live(7, hours=4)
    done = days.operator.finish(ROUTE, actor="ada")
    assert (done.refused, done.phase, days.weight) == ("", Phase.FINISHED, 100)
    assert_every_step_is_in_the_ledger(days)


def assert_every_step_is_in_the_ledger(days: Days) -> None:
    start, *steps, promoted, finish = days.entries(
        EntryKind.START, EntryKind.ADVANCE, EntryKind.PROMOTE, EntryKind.FINISH
    )
    assert (start.kind, start.actor, finish.kind) == (
        EntryKind.START,
        "ada",
        EntryKind.FINISH,
    )
    assert [step.kind for step in steps] == [EntryKind.ADVANCE] * 5
    assert promoted.kind is EntryKind.PROMOTE
    for step in (*steps, promoted):
        assert step.actor == "rollout plan"
        assert len(step.findings) == 2 * (1 + len(COHORTS))
        assert all("is ruled out" in finding for finding in step.findings)
    versions = [(step.before, step.after) for step in steps]
    assert all(before != after for before, after in versions)
    assert all(one[1] == two[0] for one, two in pairwise(versions))
    assert not days.entries(EntryKind.KILL)


def assert_the_stage_is_weighed_on_its_own(days: Days) -> None:
    """There is evidence that was seen since it began."""
    assert any(at >= days.record.renewed_at for at in days.opened.values())


def test_stages_last_as_long_as_was_foretold(live: Live) -> None:
    plan: Mapping[str, object] = {
        **PLAN,
        "stages": [{"weight": each, "window": "1h"} for each in (10, 25, 50)],
        "guardrails": [{**ERROR, "tolerance": 0.2}, {**CORRECT, "tolerance": 0.03}],
    }
    told = power(RolloutPlan.model_validate(plan), TRAFFIC)
    for seed in (2, 3):
        days = live(plan, seed=seed)
        came = [day for _, day in course(days, 2 * told.lasts_days)]
        assert told.lasts_days / 2 < days.day < 2 * told.lasts_days
        lasted = [after - before for before, after in pairwise(came)]
        for stage, took in zip(told.stages, lasted, strict=True):
            assert stage.lasts_days / 2 < took < 2 * stage.lasts_days


def test_a_candidate_that_gets_worse_in_its_second_week_is_rolled_back_and_latched(
    live: Live,
) -> None:
    days = live(rates=fails_after(8.5))
    days.live(SHADOW_DAYS, hours=4)
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=4)
    assert 8.5 < days.day < 10.5
    [kill] = days.entries(EntryKind.KILL)
    assert "correct" in kill.findings[0]
    assert_latched(days)


@pytest.mark.parametrize(
    ("begins", "within"),
    [(0.5, 1.0), (1.5, 1.0), (2.7, 2.0)],
    ids=["in the middle of a stage", "late in it", "while it is watched"],
)
def test_harm_that_begins_in_a_long_stage_is_found(
    live: Live, begins: float, within: float
) -> None:
    plan = {**PLAN, "stages": [{"weight": 50, "window": "2d"}, {"weight": 100}]}
    days = live(plan, rates=fails_after(begins))
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=7)
    assert begins < days.day < begins + within
    assert_latched(days)


def test_nothing_ramps_until_released_restored_and_started_anew(live: Live) -> None:
    days = live(BY_HAND, rates=lambda day, *of: fails_after(1.2)(day % 4.5, *of))
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=4)
    person, latch = days.operator, days.operator.status()[0].latch
    days.live(5 - days.day)
    assert "trip" in person.start(ROUTE, actor="ada").refused
    assert not person.release(
        ROUTE, trip=latch.trip, reason="mended", actor="ada"
    ).refused
    days.live(0.5)
    assert (days.phase, days.weight) == (Phase.ROLLED_BACK, 0)
    assert "restore" in person.start(ROUTE, actor="ada").refused
    person.restore(ROUTE, actor="ada", reason="next attempt")
    days.live(0.5)
    assert (days.phase, days.weight) == (Phase.ROLLED_BACK, 0)
    days.rates = alike
    anew = person.start(ROUTE, actor="ada")
    assert (anew.refused, anew.phase) == ("", Phase.SHADOW)
    assert days.record.attempt == 2
    assert [w for w, _ in course(days, 6, hours=4)] == [0, 1, 5, 25, 95]
    assert len(days.entries(EntryKind.KILL)) == 1


def test_the_enterprise_cohort_alone_flips_everybody_back(live: Live) -> None:
    plan = {**PLAN, "stages": [{"weight": 10, "window": "7d"}, {"weight": 50}]}
    days = live(plan, rates=enterprise_loses)
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=5, hours=1)
    assert_the_aggregate_favours_the_candidate(days)
    [kill] = days.entries(EntryKind.KILL)
    assert kill.route == ROUTE
    assert [finding for finding in kill.findings if "plan=enterprise" in finding]
    assert_latched(days)


def test_the_enterprise_cohort_alone_is_flipped_back_alone(live: Live) -> None:
    plan = {
        **PLAN,
        "stages": [{"weight": 10, "window": "2d"}, {"weight": 100, "window": "1d"}],
        "guardrails": [ERROR, {**CORRECT, "scope": "cohort"}],
    }
    days = live(plan, rates=enterprise_loses)
    days.live_until(lambda: bool(days.entries(EntryKind.KILL)), most=2, hours=1)
    assert_the_aggregate_favours_the_candidate(days)
    [kill] = days.entries(EntryKind.KILL)
    assert kill.route == f"{ROUTE}[plan=enterprise]"
    assert days.phase is Phase.CANARY
    assert days.on_candidate("plan=free")
    days.live_until(lambda: days.phase is Phase.WATCH, most=5)
    assert days.weight == 95
    assert not days.on_candidate("plan=enterprise")
    assert len(days.on_candidate("plan=free")) > 250
    assert len(days.entries(EntryKind.KILL)) == 1


def assert_the_aggregate_favours_the_candidate(days: Days) -> None:
    analysis = days.operator.status()[0].analysis
    assert analysis is not None
    (everybody,) = [
        finding
        for finding in analysis.findings
        if finding.metric == "correct" and not finding.cohort
    ]
    assert everybody.candidate_value > everybody.control_value
    assert everybody.log_e < 0


@pytest.mark.parametrize(
    ("edit", "goes_on"),
    [(10, [10, 25, 95]), (2, [2, 5, 25, 95]), (0, [0, 1, 5, 25, 95])],
    ids=["up", "down", "to nobody"],
)
def test_a_person_who_ramps_by_hand_in_between_is_never_overwritten(
    live: Live, edit: float, goes_on: list[float]
) -> None:
    days = live(BY_HAND)
    days.live_until(lambda: days.weight == 5, most=4)
    days.ramp_by_hand(edit)
    days.live(1)
    assert (days.phase, days.weight) == (Phase.PAUSED, edit)
    assert "edited" in days.record.why
    days.live(1, hours=4)
    assert (days.phase, days.weight) == (Phase.PAUSED, edit)
    resumed = days.operator.resume(ROUTE, actor="ada")
    assert resumed.refused == ""
    days.step()
    assert_the_stage_is_weighed_on_its_own(days)
    assert [weight for weight, _ in course(days, 6)] == goes_on


def test_a_person_who_takes_the_split_away_is_not_overwritten(live: Live) -> None:
    days = live(BY_HAND)
    days.live_until(lambda: days.weight == 5, most=4)
    days.project.write_flag({"v1": 1, "v2": 0}, targeting={})
    days.live(1)
    assert days.phase is Phase.PAUSED
    assert "no split" in days.record.why
    assert days.on_candidate("plan=free") == frozenset()
    days.operator.resume(ROUTE, actor="ada")
    days.live(1)
    assert days.on_candidate("plan=free") == frozenset()
    assert "fractional" not in days.project.flags.read_text()


def test_a_person_who_edits_while_a_move_is_under_way_wins(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = live(BY_HAND)
    days.live_until(lambda: days.weight == 1, most=4)
    writer = FlagFileWriter
    write = writer.set_split

    def after_somebody(self: object, *args: object, **keys: object) -> object:
        monkeypatch.setattr(writer, "set_split", write)
        days.ramp_by_hand(3)
        return write(self, *args, **keys)

    monkeypatch.setattr(writer, "set_split", after_somebody)
    days.live(2)
    assert (days.phase, days.weight, days.record.pending) == (Phase.PAUSED, 3, {})
    assert "while it was being moved" in days.record.why
    days.operator.resume(ROUTE, actor="ada")
    assert [weight for weight, _ in course(days, 6)] == [3, 5, 25, 95]


@pytest.mark.parametrize(
    ("does", "phase"), [("pause", Phase.PAUSED), ("roll back", Phase.ROLLED_BACK)]
)
def test_who_misses_the_deadline_goes_no_further(
    live: Live, does: str, phase: Phase
) -> None:
    stages = [{"weight": 25, "window": "1d"}, {"weight": 50, "window": "9d"}]
    plan = {**PLAN, "stages": stages, "deadline": "2d", "on_deadline": does}
    days = live(plan)
    days.live(1.9)
    assert (days.phase, days.weight) == (Phase.CANARY, 50)
    days.live(0.5)
    assert days.phase is phase
    assert days.weight == (50 if phase is Phase.PAUSED else 0)
    kind = EntryKind.PAUSE if phase is Phase.PAUSED else EntryKind.KILL
    [entry] = days.entries(kind)
    why = entry.note if entry.latch is None else entry.latch.reason
    assert "not promoted within 2d" in why


@pytest.mark.parametrize("rates", [alike, fails_after(3.0)], ids=["good", "fading"])
def test_labels_that_come_two_days_late_hold_every_stage_for_them(
    live: Live, rates: Callable[[float, str, str], float]
) -> None:
    plan = {
        **PLAN,
        "stages": [{"weight": 25}, {"weight": 50}, {"weight": 100}],
        "metrics": {"correct": {"matures_after": "2d"}},
    }
    days = live(plan, rates=rates, users_a_day=20_000)
    days.live_until(lambda: days.weight == 50, most=4, hours=4)
    assert 2 < days.day < 3.5
    if rates is alike:
        days.live_until(lambda: days.phase is Phase.WATCH, most=4, hours=4)
        return
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=6, hours=4)
    assert 5 < days.day < 8
