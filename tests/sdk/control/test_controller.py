"""Rollouts move on proof, by one leader, and never over a person."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from days import Days
from flipback.app import Guard, Operator
from flipback.config import flag_ref, load_settings
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE, EntryKind, Intent, LedgerEntry
from flipback.rollout import By, Phase
from projects import ROUTE, create_project


ALL_CONTROL = {"v1": 100, "v2": 0}
ERRORS: Mapping[str, object] = {
    "metric": "error",
    "fails_on": "increase",
    "tolerance": 1.0,
    "kind": "event",
}
Live = Callable[..., Days]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    opened: list[Days] = []

    def build(**plan: object) -> Days:
        stages = [{"weight": 10}, {"weight": 50}]
        keys = {"stages": stages, "guardrails": [ERRORS], "cohorts": None, **plan}
        guard = keys.pop("guard", {"run": "manual"})
        project = create_project(tmp_path, plan=keys, guard=guard)
        project.write_flag(ALL_CONTROL)
        opened.append(Days(project, users_a_day=15_000))
        return opened[-1]

    yield build
    for days in opened:
        days.close()


def test_a_stage_is_left_once_harm_is_ruled_out_and_not_before(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.step(0.01)
    assert (days.phase, days.weight) == (Phase.CANARY, 10)
    days.live_until(lambda: days.weight == 50, most=3)
    advance = _entries(days, EntryKind.ADVANCE)[0]
    assert advance.actor == By.PLAN
    assert any("ruled out" in finding for finding in advance.findings)
    days.live_until(lambda: days.phase is Phase.WATCH, most=10)
    assert days.weight == 95


def test_a_window_is_waited_for_whatever_is_proven(live: Live) -> None:
    days = live(stages=[{"weight": 10, "window": "3d"}, {"weight": 50}])
    days.operator.start(ROUTE, actor="ada")
    days.live(2.5, hours=12)
    assert days.weight == 10
    days.live(1, hours=12)
    assert days.weight > 10


def test_a_clock_that_jumps_ahead_shortens_no_window(live: Live) -> None:
    days = live(stages=[{"weight": 10, "window": "3d"}, {"weight": 50}])
    days.operator.start(ROUTE, actor="ada")
    days.live(1, hours=12)
    days.clock.turn(timedelta(days=30))
    days.live(1, hours=12)
    assert days.weight == 10
    days.live(1.5, hours=12)
    assert days.weight > 10


def test_only_the_holder_of_the_lease_moves(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.live(1, hours=6)
    before = days.weight
    ground = days.assembly.ground
    ground.store.acquire(f"rollout {ROUTE}", holder="another", ttl_s=10 * 86_400)
    days.live(2, hours=12)
    assert days.weight == before


def test_where_nothing_is_to_be_led_no_lease_is_taken(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.step(1)
    assert days.assembly.controller.leads == (ROUTE,)
    days.operator.kill([ROUTE], reason="bad", actor="bob", wait_s=0)
    days.live(1, hours=6)
    free = days.assembly.ground.store.acquire(
        f"rollout {ROUTE}", holder="another", ttl_s=1
    )
    assert free is not None


def test_an_edit_of_the_split_pauses_and_stays(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    _by_hand(days, 20)
    days.live(2, hours=12)
    assert (days.phase, days.weight) == (Phase.PAUSED, 20)
    pause = _entries(days, EntryKind.PAUSE)[0]
    assert "edited in the flag service: v1 90 %, v2 10 % became" in pause.note


def test_an_edit_of_another_rule_pauses_nothing(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    pinned = {
        "if": [
            {"==": [{"var": "targetingKey"}, "tester"]},
            "v2",
            {"fractional": [["v1", 90_000], ["v2", 10_000]]},
        ]
    }
    days.project.write_flag({"v1": 90, "v2": 10}, targeting=pinned)
    days.step(12)
    assert days.phase is Phase.CANARY


def test_a_pause_of_a_person_holds_until_somebody_resumes(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    assert not days.operator.pause(ROUTE, actor="bob", reason="lunch").refused
    days.live(2, hours=12)
    assert (days.phase, days.weight) == (Phase.PAUSED, 10)
    days.operator.resume(ROUTE, actor="bob")
    days.live_until(lambda: days.weight == 50, most=2)


def test_a_guardrail_that_pauses_does_so(live: Live) -> None:
    worse = {**ERRORS, "metric": "correct", "kind": "mean", "fails_on": "increase"}
    days = live(guardrails=[{**worse, "tolerance": 0.01, "on_fail": "pause"}, ERRORS])
    days.rates = lambda _day, metric, _c: 0.95 if metric == "correct" else 0.02
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: days.phase is Phase.PAUSED, most=3)
    pause = _entries(days, EntryKind.PAUSE)[0]
    assert (pause.actor, days.weight) == (By.EVALUATOR, 10)
    assert "correct" in pause.findings[0]


@pytest.mark.parametrize(
    ("on_deadline", "phase"),
    [("pause", Phase.PAUSED), ("roll back", Phase.ROLLED_BACK)],
)
def test_an_attempt_that_is_late_does_what_the_plan_says(
    live: Live, on_deadline: str, phase: Phase
) -> None:
    stages = [{"weight": 10, "window": "9d"}]
    days = live(stages=stages, deadline="2d", on_deadline=on_deadline)
    days.operator.start(ROUTE, actor="ada")
    days.live(1, hours=12)
    assert days.phase is Phase.CANARY
    days.live(2, hours=12)
    assert days.phase is phase


def test_a_dry_run_writes_down_what_it_would_have_done_and_does_nothing(
    live: Live,
) -> None:
    days = live(guard={"run": "manual", "dry_run": True})
    days.operator.start(ROUTE, actor="ada")
    days.live(3, hours=12)
    assert (days.phase, days.weight) == (Phase.CANARY, 10)
    [would] = _entries(days, EntryKind.DRY_RUN)
    assert "advance to stage 2" in would.note


def test_a_dry_run_kills_nothing(live: Live) -> None:
    days = live(guard={"run": "manual", "dry_run": True})
    days.rates = lambda _day, _metric, _cohort: 0.5
    days.operator.start(ROUTE, actor="ada")
    days.live(1, hours=6)
    assert days.weight == 10
    [would] = _entries(days, EntryKind.DRY_RUN)
    assert "would have rolled back" in would.note


def test_a_plan_that_promises_less_pauses_until_a_person_accepts_it(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.step(1)
    looser = _with_plan(days, tolerance=1.5)
    looser.step(1)
    assert looser.phase is Phase.PAUSED
    assert "loosened" in looser.operator.status()[0].record.why
    assert "accept-plan" in looser.operator.resume(ROUTE, actor="ada").remedy
    looser.operator.resume(ROUTE, actor="ada", accept_plan=True)
    looser.step(1)
    assert looser.phase is Phase.CANARY


def test_a_plan_that_promises_more_is_taken_over(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.step(1)
    stricter = _with_plan(days, tolerance=0.9)
    stricter.step(1)
    assert stricter.phase is Phase.CANARY
    record = stricter.operator.status()[0].record
    assert record.plan == stricter.plan.model_dump_json()
    assert _entries(days, EntryKind.EPOCH)


def test_a_trouble_of_one_route_is_told_and_never_raised(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.project.flags.write_text("{")
    days.router.step()
    assert any("not led" in kind for _, kind in days.router.faults())


def _with_plan(days: Days, *, tolerance: float) -> Days:
    """Return the same application after a deploy with another plan."""
    project = days.project
    plan = project.path / "rollouts" / "plan.toml"
    text = plan.read_text().replace('"tolerance" = 1.0', f'"tolerance" = {tolerance}')
    plan.write_text(text)
    days.router.stop()
    days.operator.close()
    days.deploy()
    return days


def _by_hand(days: Days, weight: float) -> None:
    writer, ref = days.assembly.flags.writer, flag_ref(days.plan)
    assert writer is not None
    share = round(weight * SCALE / 100)
    writer.set_split(
        ref,
        {"v1": SCALE - share, "v2": share},
        expect=writer.read(ref).version,
        intent=Intent(id="by hand", actor="bob", reason=""),
    )


def _entries(days: Days, kind: EntryKind) -> list[LedgerEntry]:
    entries = days.assembly.ground.ledger.entries()
    return [entry for entry in entries if entry.kind is kind]


def test_what_a_person_has_overruled_pauses_no_more(live: Live) -> None:
    worse = {**ERRORS, "metric": "correct", "kind": "mean", "fails_on": "increase"}
    days = live(guardrails=[{**worse, "tolerance": 0.01, "on_fail": "pause"}, ERRORS])
    days.rates = lambda _day, metric, _c: 0.95 if metric == "correct" else 0.02
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: days.phase is Phase.PAUSED, most=3)
    resumed = days.operator.resume(ROUTE, actor="ada")
    assert resumed.record.overruled == ("correct value of everybody",)
    days.live(1, hours=6)
    assert (days.phase, days.weight) == (Phase.CANARY, 10)
    moved = days.operator.promote(ROUTE, actor="ada", reason="more is fine")
    assert (moved.refused, days.weight) == ("", 50)


def test_a_deadline_that_a_person_has_overruled_pauses_no_more(live: Live) -> None:
    days = live(stages=[{"weight": 10, "window": "9d"}], deadline="2d")
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: days.phase is Phase.PAUSED, most=3, hours=12)
    days.operator.resume(ROUTE, actor="ada")
    days.live(1, hours=12)
    assert days.phase is Phase.CANARY


def test_a_look_at_the_attempt_before_moves_nothing(live: Live) -> None:
    days = live(cool_down="0s")
    days.operator.start(ROUTE, actor="ada")
    days.step(12, looks=False)
    stale = days.assembly.guard.look()
    days.operator.kill([ROUTE], reason="bad", actor="bob", wait_s=0)
    days.operator.release(ROUTE, trip=1, reason="fixed", actor="bob")
    days.operator.restore(ROUTE, actor="ada", reason="again")
    days.operator.start(ROUTE, actor="ada")
    days.reload()
    days.clock.advance(60)
    days.assembly.controller.step(stale)
    assert (days.phase, days.weight) == (Phase.CANARY, 10)


def test_a_paused_rollout_stays_where_it_is_when_the_flag_service_is_back(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    writer = days.assembly.flags.writer
    refuses = FlagWriteError("down", kind=FlagProblem.UNAVAILABLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "set_split", _raising(refuses))
        days.live(1, hours=6)
        assert days.operator.status()[0].record.pending
        days.operator.pause(ROUTE, actor="bob", reason="not now")
    days.live(1, hours=6)
    assert (days.phase, days.weight) == (Phase.PAUSED, 10)


def test_a_split_that_somebody_writes_where_there_was_none_is_an_edit(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.project.write_flag(ALL_CONTROL, targeting={})
    days.step(1)
    assert days.phase is Phase.PAUSED
    assert "no split" in days.operator.resume(ROUTE, actor="ada").refused
    days.project.write_flag({"v1": 95, "v2": 5})
    assert not days.operator.resume(ROUTE, actor="ada").refused
    days.project.write_flag({"v1": 93, "v2": 7})
    days.live(1, hours=6)
    assert (days.phase, days.weight) == (Phase.PAUSED, 7)


def test_a_third_variant_in_the_split_is_not_taken_away(live: Live) -> None:
    days = live()
    days.project.write_flag({"v1": 60, "v2": 0, "v3": 40})
    assert "v3" in days.operator.start(ROUTE, actor="ada").refused
    assert days.operator.status()[0].record.revision == 0


def test_an_accepted_plan_that_cannot_be_read_pauses(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    store = days.assembly.ground.store
    record = store.rollout(ROUTE)
    garbage = replace(record, revision=record.revision + 1, plan='{"stages": 1}')
    assert store.replace_rollout(garbage, lease=None)
    days.step(1)
    assert days.phase is Phase.PAUSED
    assert "cannot be read" in days.operator.status()[0].record.why


def test_a_key_that_another_version_adds_to_the_plan_pauses_nothing(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    store = days.assembly.ground.store
    record = store.rollout(ROUTE)
    later = record.plan.replace("{", '{"novelty": 1, ', 1)
    newer = replace(record, revision=record.revision + 1, plan=later)
    assert store.replace_rollout(newer, lease=None)
    days.step(1)
    assert days.phase is Phase.CANARY


def test_a_dry_run_beside_a_guard_takes_nothing_from_it(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    settings = load_settings(days.project.config)
    guard = settings.guard.model_copy(update={"dry_run": True})
    dry = Guard(replace(settings, guard=guard), clock=days.clock)
    try:
        dry.step()
        days.live_until(lambda: days.weight == 50, most=3)
    finally:
        dry.stop()


def test_a_plan_that_a_person_has_accepted_is_not_undone_by_older_processes(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    plan = days.project.path / "rollouts" / "plan.toml"
    text = plan.read_text()
    plan.write_text(text.replace('"tolerance" = 1.0', '"tolerance" = 2.0'))
    with closing(Operator.open(load_settings(days.project.config))) as person:
        person.pause(ROUTE, actor="ada", reason="a new plan")
        assert person.resume(ROUTE, actor="ada", accept_plan=True).refused == ""
    days.step(1)
    record = days.operator.status()[0].record
    assert (days.phase, '"tolerance":2.0' in record.plan) == (Phase.CANARY, True)


def _raising(error: Exception) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse
