"""What people may ask for, and what they are told when they may not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from days import Days
from flipback.errors import RouteError, StoreError
from flipback.latch import scoped
from flipback.ports import EntryKind, LedgerEntry, ProcessRecord
from flipback.rollout import Phase
from flipback.stores import SqliteStore
from projects import ROUTE, create_project


ERRORS = {
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
        keys = {
            "stages": [{"weight": 10}, {"weight": 50}],
            "guardrails": [ERRORS],
            "cohorts": None,
            **plan,
        }
        project = create_project(tmp_path, plan=keys)
        project.write_flag({"v1": 100, "v2": 0})
        opened.append(Days(project, users_a_day=10_000))
        return opened[-1]

    yield build
    for days in opened:
        days.close()


def killed(days: Days) -> None:
    days.operator.kill([ROUTE], reason="bad", actor="bob", wait_s=0)
    days.router.step()


def released(days: Days) -> None:
    trip = days.operator.status()[0].latch.trip
    done = days.operator.release(ROUTE, trip=trip, reason="fixed", actor="bob")
    assert not done.refused
    days.router.step()


def test_a_killed_route_is_not_started_and_the_way_out_is_told(live: Live) -> None:
    days = live()
    killed(days)
    no = days.operator.start(ROUTE, actor="ada")
    assert "is killed: trip 1" in no.refused
    assert "flipback release support --trip 1" in no.remedy


def test_after_a_kill_come_release_restore_and_start_in_that_order(
    live: Live,
) -> None:
    days = live(cool_down="0s")
    days.operator.start(ROUTE, actor="ada")
    killed(days)
    assert days.phase is Phase.ROLLED_BACK
    released(days)
    assert days.phase is Phase.ROLLED_BACK
    assert "flipback restore" in days.operator.start(ROUTE, actor="ada").refused
    restored = days.operator.restore(ROUTE, actor="ada", reason="again")
    assert (restored.refused, restored.changed, days.weight) == ("", True, 0)
    again = days.operator.start(ROUTE, actor="ada")
    assert (again.refused, again.record.attempt, days.weight) == ("", 2, 10)
    kinds = [entry.kind for entry in _entries(days)]
    assert kinds.index(EntryKind.RESTORE) < len(kinds) - 1
    assert kinds[-1] is EntryKind.START


def test_a_cohort_is_readmitted_in_the_middle_of_a_ramp(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    name = scoped(ROUTE, "plan=free")
    days.operator.kill(
        [ROUTE], reason="harm", actor="ada", wait_s=0, cohort="plan=free"
    )
    days.router.step()
    killed = days.operator.status()[0].flag
    assert killed is not None
    assert "is killed" in days.operator.restore(name, actor="a", reason="r").refused
    days.operator.release(name, trip=1, reason="fixed", actor="ada")
    done = days.operator.restore(name, actor="ada", reason="fixed")
    assert (done.refused, done.changed, days.weight) == ("", True, 10)
    assert done.flag is not None
    assert len(done.flag.exceptions) == len(killed.exceptions) - 1
    last = _entries(days)[-1]
    assert (last.kind, last.route, last.before) == (
        EntryKind.RESTORE,
        name,
        killed.version.token,
    )
    assert days.phase is Phase.CANARY


def test_a_flag_that_never_had_a_split_is_not_restored_but_given_one(
    live: Live,
) -> None:
    days = live()
    days.project.write_flag({"v1": 100, "v2": 0}, targeting={})
    no = days.operator.restore(ROUTE, actor="ada", reason="r")
    assert "never killed" in no.refused
    assert "flipback check" in no.remedy


def test_what_an_attempt_saw_before_its_kill_says_nothing_to_the_next_one(
    live: Live,
) -> None:
    days = live(cool_down="0s")
    days.rates = lambda _day, _metric, _cohort: 0.5
    days.operator.start(ROUTE, actor="ada")
    days.live_until(lambda: days.phase is Phase.ROLLED_BACK, most=1)
    released(days)
    days.operator.restore(ROUTE, actor="ada", reason="fixed")
    days.rates = lambda _day, _metric, _cohort: 0.02
    days.operator.start(ROUTE, actor="ada")
    days.step(1)
    assert days.phase is Phase.CANARY
    assert days.operator.status()[0].exposures < 100


def test_a_route_cools_down_before_it_is_started_again(live: Live) -> None:
    days = live(cool_down="1h")
    days.operator.start(ROUTE, actor="ada")
    killed(days)
    released(days)
    days.operator.restore(ROUTE, actor="ada", reason="again")
    assert "cools down" in days.operator.start(ROUTE, actor="ada").refused
    days.clock.advance(3600)
    assert not days.operator.start(ROUTE, actor="ada").refused


def test_a_version_that_failed_often_enough_needs_a_reason(live: Live) -> None:
    days = live(cool_down="0s", max_attempts=2)
    for _ in range(2):
        assert not days.operator.start(ROUTE, actor="ada").refused
        killed(days)
        released(days)
        days.operator.restore(ROUTE, actor="ada", reason="again")
    no = days.operator.start(ROUTE, actor="ada")
    assert "has had 2 attempts" in no.refused
    yes = days.operator.start(ROUTE, actor="ada", reason="the data was wrong")
    assert (yes.refused, yes.record.tries) == ("", 3)


def test_a_rollout_that_a_deleted_store_has_lost_is_a_problem_until_it_is_started(
    live: Live,
) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    for each in days.project.path.glob("flipback.db*"):
        each.unlink()
    (said,) = days.operator.status()[0].problems
    assert "attempt 1 under way" in said
    assert "flipback start support" in said
    again = days.operator.start(ROUTE, actor="ada", reason="the store was lost")
    assert (again.refused, again.record.attempt, again.record.tries) == ("", 2, 2)
    assert not days.operator.status()[0].problems


def test_a_second_kill_hides_no_evidence_of_the_first(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.step(1)
    killed(days)
    seen = days.operator.status()[0].exposures
    killed(days)
    assert days.operator.status()[0].exposures == seen > 0


def test_processes_are_not_known_where_none_can_write_its_heartbeat(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    days = live()
    days.clock.advance(60)
    monkeypatch.setattr(SqliteStore, "beat", full)
    monkeypatch.setattr(SqliteStore, "acquire", full)
    days.clock.advance(60)
    status = days.operator.status()[0]
    assert (status.processes, status.guards) == (None, None)
    assert status.problems == ("store: the disk is full",)
    assert status.analysis is not None


def test_a_status_says_who_guards_and_who_leads(live: Live) -> None:
    days = live()
    store, at = days.assembly.ground.store, days.clock.now().timestamp()
    app = ProcessRecord(id="a", host="far", pid=1, seen_at=at, trips={ROUTE: 0})
    store.beat(app)
    assert days.operator.status()[0].guards == 0
    guard = replace(app, id="g", pid=2, serves=False, guards=True, leads=(ROUTE,))
    store.beat(guard)
    status = days.operator.status()[0]
    assert (status.guards, status.leader) == (1, "far:2")


def test_a_running_rollout_is_not_started_twice(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    assert "cannot start" in days.operator.start(ROUTE, actor="bob").refused


def test_a_promotion_that_nothing_proves_needs_a_reason(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    no = days.operator.promote(ROUTE, actor="ada")
    assert "undecided: error of everybody" in no.refused
    yes = days.operator.promote(ROUTE, actor="ada", reason="we must")
    assert (yes.refused, days.weight) == ("", 50)
    note = _entries(days)[-1]
    assert (note.kind, note.actor) == (EntryKind.ADVANCE, "ada")
    assert "we must; undecided: error of everybody" in note.note


def test_proven_harm_is_promoted_by_nobody(live: Live) -> None:
    days = live()
    days.rates = lambda _day, _metric, _cohort: 0.5
    days.operator.start(ROUTE, actor="ada")
    days.step(1, looks=False)
    no = days.operator.promote(ROUTE, actor="ada", reason="we must")
    assert "harm is proven" in no.refused


def test_an_undecided_cohort_is_accepted_by_name_where_the_plan_asks(
    live: Live,
) -> None:
    stages = [{"weight": 10, "min_exposures": 200}, {"weight": 50}]
    cohorts = {"plan": ["free", "enterprise", "tiny"]}
    days = live(undecided="ask", cohorts=cohorts, stages=stages)
    days.operator.start(ROUTE, actor="ada")
    days.live(3, hours=24)
    no = days.operator.promote(ROUTE, actor="ada")
    assert "--accept plan=tiny" in no.remedy
    assert (
        "is declared"
        in days.operator.promote(ROUTE, actor="ada", accept=["plan=tinny"]).refused
    )
    yes = days.operator.promote(ROUTE, actor="ada", accept=["plan=tiny"])
    assert (yes.refused, days.weight) == ("", 50)
    assert "accepted undecided: plan=tiny" in _entries(days)[-1].note


def test_a_watch_is_finished_early_only_with_a_reason(live: Live) -> None:
    days = live(stages=[{"weight": 50}], watch="7d")
    days.operator.start(ROUTE, actor="ada")
    days.operator.promote(ROUTE, actor="ada", reason="we must")
    assert (days.phase, days.weight) == (Phase.WATCH, 95)
    assert "7d" in days.operator.finish(ROUTE, actor="ada").refused
    done = days.operator.finish(ROUTE, actor="ada", reason="sure")
    assert (done.phase, days.weight) == (Phase.FINISHED, 100)


def test_a_start_that_takes_subjects_back_to_control_needs_a_reason(
    live: Live,
) -> None:
    days = live(stages=[{"weight": 50}], watch="0s")
    days.operator.start(ROUTE, actor="ada")
    days.operator.promote(ROUTE, actor="ada", reason="we must")
    days.operator.finish(ROUTE, actor="ada")
    no = days.operator.start(ROUTE, actor="ada")
    assert "v2 serves 100 % of subjects, and a start gives it 50 %" in no.refused
    assert not days.operator.start(ROUTE, actor="ada", reason="once more").refused


def test_a_paused_rollout_is_promoted_by_resuming_first(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.operator.pause(ROUTE, actor="ada", reason="lunch")
    no = days.operator.promote(ROUTE, actor="ada", reason="we must")
    assert no.remedy == "flipback resume support"


def test_a_route_without_a_plan_is_named_with_the_nearest_one(live: Live) -> None:
    days = live()
    with pytest.raises(RouteError, match="did you mean `support`"):
        days.operator.start("suport", actor="ada")


def test_a_flag_service_that_is_down_leaves_the_split_pending(
    live: Live,
) -> None:
    days = live()
    days.project.flags.chmod(0o444)
    whole = days.project.flags.read_text()
    days.operator.start(ROUTE, actor="ada")
    days.project.flags.write_text("{")
    moved = days.operator.pause(ROUTE, actor="ada", reason="the service is down")
    assert (moved.refused, moved.flag) == ("", None)
    days.project.flags.write_text(whole)


def test_how_long_a_stage_lasts_is_told(live: Live) -> None:
    days = live()
    days.operator.start(ROUTE, actor="ada")
    days.clock.advance(90)
    assert days.operator.status()[0].stage_lasts == timedelta(seconds=90)


def _entries(days: Days) -> list[LedgerEntry]:
    return list(days.assembly.ground.ledger.entries())
