import math
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from apps import App, exposures, operator
from flipback import Reason, RouteError, Router
from flipback.control._force import VARIABLE
from projects import ROUTE, CreateProject
from troubles import WallClock, until


USER = EvaluationContext("user-1")


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("flipback")}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_first_call_starts_what_is_needed(project: CreateProject) -> None:
    app = App(project())
    assert threads() == set()
    assert app.open
    assert threads() == {
        "flipback-pulse",
        "flipback-heart",
        "flipback-evidence",
        "flipback-notices",
        "flipback-flagfile",
    }
    app.router.stop()
    assert threads() == set()


def test_a_stopped_router_serves_control(project: CreateProject) -> None:
    with App(project()) as app:
        assert app.serve(50)["v2"] > 0
    assert app.serve(50) == {"v1": 50}
    assert app.reason() is Reason.NOT_READY
    assert not app.router.flush()


def test_to_stop_twice_or_before_the_start_is_no_error(project: CreateProject) -> None:
    app = App(project())
    app.router.stop()
    app.router.stop()
    app.router.start()
    assert app.reason() is Reason.NOT_READY


def test_the_end_of_a_with_block_flushes(project: CreateProject) -> None:
    folder = project()
    with App(folder, fails=False) as app, app.router:
        app.serve(30)
    assert exposures(folder) == 30


def test_a_proven_flip_is_obeyed_after_a_restart(project: CreateProject) -> None:
    folder = project()
    with App(folder) as app:
        app.serve()
        app.router.guard.look()
    with App(folder) as restarted:
        assert restarted.reason() is Reason.KILLED
        assert restarted.serve(20) == {"v1": 20}


def test_a_flag_edited_by_a_person_does_not_release_a_kill(
    project: CreateProject,
) -> None:
    folder = project()
    with App(folder) as app:
        app.serve()
        app.router.guard.look()
    folder.write_flag({"v1": 1, "v2": 99})
    edited = folder.flags.read_text()
    with App(folder) as restarted:
        with operator(folder) as person:
            assert until(lambda: len(person.status()[0].processes) == 1)
        assert restarted.serve(20) == {"v1": 20}
    assert folder.flags.read_text() == edited
    with operator(folder) as person:
        person.release(ROUTE, trip=1, reason="fixed", actor="ada")
    with App(folder, fails=False) as released:
        assert released.serve(100)["v2"] > 80


def test_a_killed_route_opens_again_in_a_running_process(
    project: CreateProject,
) -> None:
    folder = project()
    with App(folder) as app, operator(folder) as person:
        app.serve()
        app.router.guard.look()
        person.release(ROUTE, trip=1, reason="fixed", actor="ada")
        folder.write_flag({"v1": 50, "v2": 50})
        assert until(lambda: app.open)


def test_break_glass_forces_a_running_process(project: CreateProject) -> None:
    folder = project()
    sentinel = folder.path / "flipback.force-control"
    with App(folder) as app:
        assert app.open
        sentinel.touch()
        assert until(lambda: app.reason() is Reason.FORCED)
        sentinel.unlink()
        assert until(lambda: app.open)


def test_break_glass_comes_before_a_kill(
    project: CreateProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project()
    monkeypatch.setenv(VARIABLE, "*")
    with operator(folder) as person:
        person.kill([ROUTE], reason="broken", actor="ada", wait_s=0)
    with App(folder) as app:
        assert app.reason() is Reason.FORCED


def test_a_store_that_is_not_there_yet_means_control_until_it_is(
    project: CreateProject,
) -> None:
    folder = project(store="sqlite:later/x.db", ledger="x.ledger.jsonl")
    with App(folder) as app:
        assert app.reason() is Reason.NOT_READY
        assert app.serve(20) == {"v1": 20}
        assert "store unreadable" in app.said
        (folder.path / "later").mkdir()
        assert until(lambda: app.open)
        assert app.serve(50)["v2"] > 0
        assert app.router.flush()


@pytest.mark.parametrize("lost", ["store", "ledger"])
def test_a_damaged_history_means_control_and_no_traceback(
    project: CreateProject, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project()
    path: Path = getattr(folder, lost)
    path.write_bytes(b"neither a database\nnor a ledger\n" + b"{}\n" * 4000)
    with App(folder) as app:
        assert app.serve(20) == {"v1": 20}
        assert app.reason() is Reason.NOT_READY
    assert str(path) in caplog.text
    assert "Traceback" not in caplog.text


def test_a_late_outcome_is_booked_where_no_call_is_ever_made(
    project: CreateProject,
) -> None:
    folder = project()
    with App(folder, fails=False) as app:
        receipt = app.route.decide(USER).expose()
    labels = Router.from_config(folder.config)
    assert labels.record(receipt, "resolved", 1)
    labels.stop()
    with App(folder) as app:
        assert app.router.record(receipt, "resolved", 0)
        (look,) = app.router.guard.look()
    values = {
        (finding.metric, finding.cohort): finding for finding in look.analysis.findings
    }
    found = values["resolved", ""]
    assert found.control_n + found.candidate_n == 1
    assert 1.0 in {found.control_value, found.candidate_value}


def test_a_stopped_router_takes_no_late_outcome(project: CreateProject) -> None:
    with App(project()) as app:
        receipt = app.route.decide(USER).expose()
    assert not app.router.record(receipt, "resolved", 1)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("resolved", math.nan),
        ("resolved", math.inf),
        ("resolved", "yes"),
        ("reslved", 1.0),
    ],
)
def test_a_late_outcome_that_is_none_is_refused_with_a_reason(
    project: CreateProject, metric: str, value: float
) -> None:
    with App(project()) as app:
        receipt = app.route.decide(USER).expose()
        assert not app.router.record(receipt, metric, value)
        assert f"outcome refused: {metric}" in app.said


def test_a_receipt_of_a_route_without_a_plan_is_refused(
    project: CreateProject, tmp_path: Path
) -> None:
    with App(project()) as app:
        receipt = app.route.decide(USER).expose()
    config = project(plan={"route": "other"}).config
    with Router.from_config(config) as router:
        assert not router.record(receipt, "resolved", 1)
        assert not router.record("fb1.torn", "resolved", 1)
        assert (tmp_path / "project") in config.parents


def test_the_wall_clock_may_go_back_an_hour(project: CreateProject) -> None:
    folder, clock = project(), WallClock()
    with (
        App(folder, clock=clock, fails=False) as app,
        operator(folder, clock) as person,
    ):
        app.serve(40)
        receipt = app.route.decide(USER).expose()
        assert until(lambda: len(person.status()[0].processes) == 1)
        clock.turn(timedelta(hours=-1))
        assert app.router.record(receipt, "resolved", 1)
        app.serve(40)
        assert app.router.flush()
        assert exposures(folder) == 81
        (report,) = person.kill([ROUTE], reason="drill", actor="ada", wait_s=5)
        assert (report.processes, report.acknowledged) == (1, 1)
        assert app.reason() is Reason.KILLED
        person.release(ROUTE, trip=1, reason="over", actor="ada")
        assert until(lambda: app.reason() is not Reason.KILLED)


def test_heartbeats_count_after_the_wall_clock_went_back(
    project: CreateProject,
) -> None:
    folder, clock = project(), WallClock()
    clock.turn(timedelta(hours=-1))
    with App(folder, clock=clock), operator(folder, clock) as person:
        assert until(lambda: len(person.status()[0].processes) == 1)


def test_fifty_routers_leak_neither_threads_nor_descriptors(
    project: CreateProject,
) -> None:
    folder = project()
    with App(folder) as app:
        app.serve(5)
    before = descriptors()
    for _ in range(50):
        with App(folder) as app:
            app.serve(2)
            app.router.flush()
    assert descriptors() <= before
    assert threads() == set()


def test_a_router_without_a_control_function_does_not_start(
    project: CreateProject,
) -> None:
    router = Router.from_config(project().config)
    router.route(ROUTE)
    with pytest.raises(RouteError, match="has no function for control 'v1'"):
        router.start()
    assert threads() == set()
    router.stop()


def test_a_variant_without_a_function_is_said_at_the_start(
    project: CreateProject,
) -> None:
    router = Router.from_config(project().config)
    route: flipback.Route[[], str] = router.route(ROUTE)
    route.variant("v1")(lambda: "v1")
    with router:
        assert {route.call(EvaluationContext(f"u{n}")) for n in range(50)} == {"v1"}
    assert (ROUTE, "variant 'v2' has no function") in router.faults()


def test_a_route_is_the_same_each_time(project: CreateProject) -> None:
    app = App(project())
    assert app.router.route(ROUTE) is app.route
    assert str(app.project.config) in repr(app.router)
    with pytest.raises(RouteError, match="did you mean `support`"):
        app.router.route("suport")
    app.router.stop()


def test_a_flag_file_that_is_missing_means_control_and_is_said(
    project: CreateProject,
) -> None:
    folder = project()
    folder.flags.unlink()
    with App(folder) as app:
        assert app.serve(20) == {"v1": 20}
        assert "flag unreadable" in app.said
        assert "flag provider" in app.said
