"""Drills by one process on itself, refusals, and drills that break off."""

import json
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from apps import App, operator
from drills import DRILL_FLAG, FLAG, drillable, driller, flags, put_flag
from flipback.app import DrillReport, DrillRound, Drills, Sighting
from flipback.app._assembly import lay_ground
from flipback.app._drill import DRILL_ROUTE, drill_plan
from flipback.app._drill_course import Course
from flipback.app._drill_lease import DrillLease
from flipback.app._drill_reports import times_of
from flipback.config import flag_ref, load_settings, split_giving
from flipback.control import SystemClock
from flipback.ports import Intent
from flipback.stores import FileLedger, SqliteStore
from flipback_providers.flagfile import FlagFileWriter
from projects import ROUTE, CreateProject, Project
from troubles import until


ASKED = Drills(actor="ada", within_s=5.0, wait_s=5.0)
INTENT = Intent(id="i-1", actor="ada", reason="broken")


class HastyClock(SystemClock):
    """Runs a second ahead with each look, so that no patience lasts."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:  # type: ignore[override] - a constant there
        self.ahead += 1.0
        return self.ahead


class InterruptingClock(SystemClock):
    """Interrupts the main thread at its nth look, as Ctrl-C would."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def monotonic(self) -> float:  # type: ignore[override] - a constant there
        if threading.current_thread() is threading.main_thread():
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return SystemClock.monotonic()


def running(folder: Project) -> bool:
    with operator(folder) as person:
        return bool(person.status()[0].processes)


def drilled(folder: Project, asked: Drills = ASKED) -> DrillReport:
    with driller(folder) as drilling:
        return drilling.run(asked)


def left_over(folder: Project) -> str:
    with driller(folder) as drilling:
        return "\n".join(map(str, drilling.left_over()))


def held(folder: Project) -> bool:
    latches = FileLedger(folder.ledger, SystemClock()).latches()
    return DRILL_ROUTE in latches and latches[DRILL_ROUTE].held


def test_a_drill_flips_its_own_flag_and_restores_it_exactly(
    project: CreateProject,
) -> None:
    folder = drillable(project)
    before = flags(folder)
    with App(folder):
        assert until(lambda: running(folder))
        report = drilled(folder)
    assert (report.refused, report.left, report.on_time) == ("", (), 1)
    (sighting,) = report.sightings
    assert sighting.armed
    assert sighting.control_ms is not None
    assert sighting.latch_ms is not None
    assert sighting.flag_ms is not None
    assert flags(folder) == before
    assert left_over(folder) == ""


def test_a_drill_touches_no_route_of_the_application(project: CreateProject) -> None:
    folder = drillable(project)
    with App(folder) as app, operator(folder) as person:
        assert until(lambda: running(folder))
        drilled(folder, Drills(actor="ada", times=2))
        assert app.open
        assert [status.plan.route for status in person.status()] == [ROUTE]
        assert person.status()[0].latch.trip == 0
    entries = FileLedger(folder.ledger, SystemClock()).entries()
    assert {entry.route for entry in entries} == {DRILL_ROUTE}


def test_no_drill_is_counted_as_evidence(project: CreateProject) -> None:
    folder = drillable(project)
    with App(folder) as app:
        assert until(lambda: running(folder))
        drilled(folder)
        assert app.router.flush()
    with closing(SqliteStore(folder.store, clock=SystemClock())) as store:
        assert not store.evidence(DRILL_ROUTE, attempt=1, trip=0).cells


def test_the_next_call_of_the_process_that_kills_is_served_by_control(
    project: CreateProject,
) -> None:
    with App(project(split={"v1": 0, "v2": 100}), fails=False) as app:
        assert app.serve(5) == {"v2": 5}
        app.router._assembly.killswitch.kill(ROUTE, intent=INTENT)  # noqa: SLF001 - what evaluator and drill call
        assert app.serve(5) == {"v1": 5}
        assert app.reason() is flipback.Reason.KILLED


def test_without_a_drill_flag_the_refusal_says_which_one_to_add(
    project: CreateProject,
) -> None:
    report = drilled(project())
    assert "names no drill flag" in report.refused
    assert 'drill_flag = "flipback-drill"' in report.remedy
    flag = "{" + report.remedy.partition(" the flag ")[2].partition(" to the")[0] + "}"
    assert json.loads(flag)["flipback-drill"]["defaultVariant"] == "control"


def no_flag(folder: Project) -> None:
    put_flag(folder, None)


def no_split(folder: Project) -> None:
    put_flag(folder, {**FLAG, "targeting": {}})


def no_candidate(folder: Project) -> None:
    put_flag(folder, {**FLAG, "variants": {"control": "control", "b": "b"}})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_flag, "has no flag 'drill-me'"),
        (no_split, "no split"),
        (no_candidate, "'candidate' is no variant"),
    ],
)
def test_a_flag_that_cannot_be_drilled_is_refused(
    project: CreateProject, spoil: Callable[[Project], None], said: str
) -> None:
    folder = drillable(project)
    spoil(folder)
    before = flags(folder)
    report = drilled(folder)
    assert said in report.refused
    assert "fractional" in report.remedy
    assert flags(folder) == before


def test_the_flag_of_a_route_is_never_drilled(project: CreateProject) -> None:
    report = drilled(project(drill_flag="support-model"))
    assert "is the flag of route 'support'" in report.refused


def test_a_plan_that_takes_the_name_of_the_drills_route_is_told_and_served(
    project: CreateProject,
) -> None:
    folder = drillable(project, plan={"route": DRILL_ROUTE})
    assert "which is the drill's own" in drilled(folder).refused
    with flipback.Router.from_config(folder.config) as router:
        route: flipback.Route[[], str] = router.route(DRILL_ROUTE)
        route.variant("v1", version="1")(lambda: "v1")
        assert route.call(EvaluationContext("user-1")) == "v1"


def test_without_a_process_there_is_nothing_to_measure(project: CreateProject) -> None:
    assert "no process runs" in drilled(drillable(project)).refused


def test_processes_that_have_not_read_the_drill_flag_are_told(
    project: CreateProject,
) -> None:
    with App(project()) as app:
        assert until(lambda: running(app.project))
        report = drilled(drillable(project))
    assert "1 processes run and none knows" in report.refused
    assert "restart" in report.remedy


def test_a_second_drill_at_the_same_time_is_refused(project: CreateProject) -> None:
    folder = drillable(project)
    clock = SystemClock()
    with closing(SqliteStore(folder.store, clock=clock)) as store:
        assert DrillLease(store, clock, "somebody").take()
        with driller(folder, HastyClock()) as second:
            report = second.run(ASKED)
            cleaning = second.clean(actor="ada")
    assert report.refused == f"another drill of flag {DRILL_FLAG} is on"
    assert cleaning.refused == report.refused


def test_a_process_that_is_forced_to_control_is_not_timed_and_nothing_is_killed(
    project: CreateProject,
) -> None:
    folder = drillable(project)
    before = flags(folder)
    (folder.path / "flipback.force-control").touch()
    with App(folder):
        assert until(lambda: running(folder))
        report = drilled(folder, Drills(actor="ada", wait_s=0.3))
    (made,) = report.rounds
    assert (made.trip, report.on_time) == (0, 0)
    assert [each.armed for each in made.sightings] == [False]
    assert flags(folder) == before
    assert left_over(folder) == ""


@pytest.mark.parametrize("nth", [3, 6, 9, 14, 22, 30])
def test_an_interrupted_drill_puts_everything_in_order(
    project: CreateProject, nth: int
) -> None:
    folder = drillable(project)
    before = flags(folder)
    with App(folder):
        assert until(lambda: running(folder))
        with (
            driller(folder, InterruptingClock(nth)) as drilling,
            pytest.raises(KeyboardInterrupt),
        ):
            drilling.run(ASKED)
    assert flags(folder) == before
    assert not held(folder)
    assert left_over(folder) == ""


class Broken:
    """A drill up to some step, as if its process had died there."""

    def __init__(self, folder: Project) -> None:
        clock = SystemClock()
        settings = load_settings(folder.config)
        self.writer = FlagFileWriter(folder.flags, clock=clock)
        self.ground = lay_ground(settings, self.writer, clock)
        self.lease = DrillLease(self.ground.store, clock, "broken")
        self.course = Course(settings, self.ground, self.writer, self.lease)
        self.plan = drill_plan(DRILL_FLAG)
        self.before = self.writer.read(flag_ref(self.plan))

    def remembered(self) -> None:
        self.course.undo.prepare("drill-1", self.before, actor="ada")

    def announced(self) -> None:
        self.remembered()
        self.course.undo.announce("drill-1", actor="ada")

    def armed(self) -> None:
        self.announced()
        split = split_giving(self.plan, self.before, 100) or {}
        self.writer.set_split(
            flag_ref(self.plan), split, expect=self.before.version, intent=INTENT
        )

    def killed(self) -> None:
        self.armed()
        switch = self.course._switch(self.ground.ledger, self.writer)  # noqa: SLF001 - as it drills
        switch.refresh()
        assert switch.kill(DRILL_ROUTE, intent=INTENT).complete
        switch.stop()


STEPS = [Broken.remembered, Broken.announced, Broken.armed, Broken.killed]


def broken_off(folder: Project, step: Callable[[Broken], None]) -> None:
    broken = Broken(folder)
    step(broken)
    broken.ground.store.close()


@pytest.mark.parametrize("step", STEPS)
def test_cleaning_restores_what_a_drill_left_that_died(
    project: CreateProject, step: Callable[[Broken], None]
) -> None:
    folder = drillable(project)
    before = flags(folder)
    broken_off(folder, step)
    assert bool(left_over(folder)) is (step is not Broken.remembered)
    with driller(folder) as drilling:
        report = drilling.clean(actor="bob")
    assert (report.refused, report.left) == ("", ())
    assert flags(folder) == before
    assert not held(folder)
    assert left_over(folder) == ""


def test_the_next_drill_cleans_up_first(project: CreateProject) -> None:
    folder = drillable(project)
    before = flags(folder)
    broken_off(folder, Broken.killed)
    with App(folder):
        assert until(lambda: running(folder))
        report = drilled(folder)
    assert any("restored" in done for done in report.cleaned)
    assert (report.left, report.on_time, report.rounds[0].trip) == ((), 1, 2)
    assert flags(folder) == before


def test_cleaning_leaves_alone_what_a_person_made_of_the_flag_since(
    project: CreateProject,
) -> None:
    folder = drillable(project)
    broken_off(folder, Broken.armed)
    edited = {"fractional": [["control", 30], ["candidate", 70]]}
    put_flag(folder, {**FLAG, "targeting": edited})
    with driller(folder) as drilling:
        report = drilling.clean(actor="bob")
    assert (report.cleaned, report.left) == ((), ())
    assert flags(folder)[DRILL_FLAG] == {**FLAG, "targeting": edited}
    assert left_over(folder) == ""


def test_a_flag_whose_past_nobody_knows_is_left_to_people(
    project: CreateProject,
) -> None:
    folder = drillable(project)
    broken_off(folder, Broken.armed)
    folder.ledger.unlink()
    with driller(folder) as drilling:
        report = drilling.clean(actor="bob")
    assert "put its split back by hand" in report.left[0]
    put_flag(folder, FLAG)
    with driller(folder) as drilling:
        assert drilling.clean(actor="bob").left == ()


def test_a_broken_drill_leaves_the_routes_of_the_application_alone(
    project: CreateProject,
) -> None:
    folder = drillable(project)
    broken_off(folder, Broken.killed)
    with App(folder) as app:
        assert app.open


def test_percentiles_are_by_nearest_rank() -> None:
    hundred = times_of([float(number) for number in range(100, 0, -1)])
    assert (hundred.p50_ms, hundred.p99_ms, hundred.longest_ms) == (50.0, 99.0, 100.0)
    assert times_of([None, 7.0]).p99_ms == 7.0
    assert times_of([None]).measured == 0


def test_a_process_that_ended_meanwhile_is_not_held_against_a_drill() -> None:
    ended = Sighting(process="a", armed=True, ended=True)
    quick = Sighting(process="b", armed=True, control_ms=90.0)
    slow = Sighting(process="b", armed=True, control_ms=501.0)
    rounds = [
        DrillRound(drill="drill-1", sightings=seen, armed_ms=1.0)
        for seen in ((ended, quick), (slow, quick), (ended,))
    ]
    report = DrillReport(flag="f", within_s=0.5, rounds=tuple(rounds))
    assert (report.on_time, report.processes) == (1, ("b",))
