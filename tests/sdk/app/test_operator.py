import socket
import threading
from dataclasses import replace

import pytest
from openfeature.evaluation_context import EvaluationContext
from typing_extensions import override

from apps import App, operator
from flipback import Reason, Route, Router, record
from flipback.app import Guard, Operator
from flipback.app._assembly import lay_ground
from flipback.app._processes import is_alive
from flipback.config import load_settings
from flipback.control import Delivered, SystemClock
from flipback.errors import FlagProblem, LedgerError
from flipback.latch import Latch
from flipback.ports import FlagChange, FlagRef, Intent, ProcessRecord
from flipback.stores import FileLedger
from projects import ROUTE, CreateProject, Project
from troubles import PATIENCE_S, TroubledWriter, refusal, until


def test_a_kill_works_with_no_application_running(project: CreateProject) -> None:
    folder = project()
    with operator(folder) as person:
        (report,) = person.kill([ROUTE], reason="broken", actor="ada", wait_s=0)
    assert report.complete
    assert (report.processes, report.acknowledged) == (0, 0)
    with App(folder) as app:
        assert app.reason() is Reason.KILLED


def test_a_kill_is_acknowledged_by_a_running_process(project: CreateProject) -> None:
    folder = project()
    with App(folder) as app, operator(folder) as person:
        assert until(lambda: len(person.status()[0].processes) == 1)
        (report,) = person.kill(
            [ROUTE], reason="broken", actor="ada", wait_s=PATIENCE_S
        )
        assert (report.processes, report.acknowledged) == (1, 1)
        assert app.reason() is Reason.KILLED
        (status,) = person.status()
        assert (status.acknowledged, status.override) == (1, Reason.KILLED)


def test_an_application_that_is_guarded_elsewhere_is_unguarded_until_a_guard_runs(
    project: CreateProject,
) -> None:
    folder = project(guard={"run": "elsewhere"})
    with App(folder), operator(folder) as person:
        assert until(lambda: bool(person.status()[0].processes))
        assert person.status()[0].guards == 0
        with Guard.from_config(folder.config):
            assert until(lambda: person.status()[0].guards == 1)
            processes = person.status()[0].processes or ()
            assert sorted(each.serves for each in processes) == [False, True]


class Meeting(TroubledWriter):
    """Kills a flag only while another one is being killed."""

    def __init__(self, project: Project) -> None:
        super().__init__(project.flags)
        self.meeting = threading.Barrier(2, timeout=PATIENCE_S)

    @override
    def kill(self, ref: FlagRef, *, control: str, intent: Intent) -> FlagChange:
        self.meeting.wait()
        return super().kill(ref, control=control, intent=intent)


def test_a_slow_flag_service_delays_the_kill_of_no_other_route(
    project: CreateProject,
) -> None:
    folder = project()
    other = folder.path / "rollouts" / "other.toml"
    plan = (folder.path / "rollouts" / "plan.toml").read_text()
    other.write_text(plan.replace('"route" = "support"', '"route" = "other"'))
    settings = load_settings(folder.config)
    ground = lay_ground(settings, Meeting(folder), SystemClock())
    person = Operator(settings, ground)
    reports = person.kill([ROUTE, "other"], reason="all", actor="ada", wait_s=0)
    person.close()
    assert [report.flag for report in reports] == [Delivered.APPLIED] * 2


def test_a_release_names_the_trip_that_holds(project: CreateProject) -> None:
    with operator(project()) as person:
        none = person.release(ROUTE, trip=1, reason="x", actor="ada")
        person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
        person.kill([ROUTE], reason="two", actor="ada", wait_s=0)
        old = person.release(ROUTE, trip=1, reason="x", actor="ada")
        new = person.release(ROUTE, trip=2, reason="x", actor="ada")
    assert none.refused == "support is not held by any kill"
    assert old.refused == "support is held by trip 2, not by trip 1"
    assert old.latch.held
    assert (new.refused, new.stored, new.latch.held) == ("", True, False)


class Interfering(FileLedger):
    """Somebody kills once more while a release is written."""

    @override
    def release(self, latch: Latch) -> None:
        intent = Intent(id="i9", actor="bob", reason="again")
        self.kill(latch.route, intent=intent, at=latch.at, floor=latch)
        super().release(latch)


def test_a_release_tells_of_a_kill_that_came_in_between(project: CreateProject) -> None:
    folder = project()
    settings = load_settings(folder.config)
    ground = lay_ground(settings, None, SystemClock())
    ledger = Interfering(settings.ledger, SystemClock())
    person = Operator(settings, replace(ground, ledger=ledger))
    person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
    release = person.release(ROUTE, trip=1, reason="x", actor="ada")
    person.close()
    assert release.refused == "support was killed meanwhile: trip 2 holds it"
    assert release.latch.held


def test_a_release_that_cannot_be_made_durable_is_not_made(
    project: CreateProject,
) -> None:
    folder = project()
    with operator(folder) as person:
        person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
        folder.ledger.write_text('{"edited": 1}\n{"edited": 2}\n')
        with pytest.raises(LedgerError, match="does not match its digest"):
            person.release(ROUTE, trip=1, reason="x", actor="ada")
    with App(folder) as app:
        assert app.reason() is Reason.KILLED


def test_a_damaged_store_keeps_nobody_from_killing_and_releasing(
    project: CreateProject,
) -> None:
    folder = project()
    folder.store.write_bytes(b"no database" * 1000)
    with operator(folder) as person:
        (report,) = person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
        assert (report.durable, report.stored, report.flag) == (
            True,
            False,
            Delivered.APPLIED,
        )
        assert f"{folder.store} is no SQLite database" in report.problem
        (status,) = person.status()
        assert status.analysis is None
        assert status.processes is None
        assert not report.counted
        assert any(str(folder.store) in problem for problem in status.problems)
        released = person.release(ROUTE, trip=1, reason="x", actor="ada")
        assert (released.refused, released.stored) == ("", False)


def test_status_says_what_cannot_be_read(project: CreateProject) -> None:
    folder = project()
    folder.flags.write_text("{")
    with operator(folder) as person:
        (status,) = person.status()
    assert status.flag is None
    assert any(str(folder.flags) in problem for problem in status.problems)
    assert status.latch == Latch(route=ROUTE)


def test_status_of_a_killed_route_explains_the_kill(project: CreateProject) -> None:
    folder = project()
    with App(folder) as app:
        app.serve()
        app.router.guard.look()
    with operator(folder) as person:
        (status,) = person.status()
    assert status.analysis is not None
    assert status.analysis.broken
    assert status.flag is not None
    assert status.flag.default_variant == "v1"


def test_a_flag_service_that_cannot_be_opened_keeps_nobody_from_killing(
    project: CreateProject,
) -> None:
    with operator(project(flags="nobody:knows")) as person:
        (status,) = person.status()
        assert status.flag is None
        (report,) = person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
    assert (report.durable, report.flag) == (True, Delivered.NO_WRITER)


def test_a_kill_that_the_flag_service_refuses_is_reported(
    project: CreateProject,
) -> None:
    folder = project()
    settings = load_settings(folder.config)
    writer = TroubledWriter(folder.flags, refusal(FlagProblem.FORBIDDEN))
    person = Operator(settings, lay_ground(settings, writer, SystemClock()))
    (report,) = person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
    person.close()
    assert (report.flag, report.durable) == (Delivered.BLOCKED, True)


@pytest.mark.parametrize(
    ("host", "pid", "alive"),
    [
        (socket.gethostname(), 1, True),
        (socket.gethostname(), 2**22 + 1, False),
        ("another host", 2**22 + 1, True),
    ],
)
def test_only_a_process_of_this_host_can_be_known_to_be_dead(
    host: str,
    pid: int,
    alive: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_alive(ProcessRecord(id="x", host=host, pid=pid, seen_at=0.0)) is alive


def test_a_guarded_metric_that_is_never_recorded_is_told(
    project: CreateProject,
) -> None:
    folder = project()
    with App(folder, fails=False) as app:
        app.serve(400)
        app.router.guard.look()
    with operator(folder) as person:
        (status,) = person.status()
    assert status.exposures >= 100
    assert status.unobserved == ("resolved",)


def test_a_component_that_was_never_recorded_is_told_and_a_delayed_metric_is_known(
    project: CreateProject,
) -> None:
    rails = [
        {"metric": metric, "fails_on": "decrease", "tolerance": 0.1}
        for metric in ("rate", "kept")
    ]
    table = {
        "rate": {"numerator": "clicks", "denominator": "views"},
        "kept": {"matures_after": "2h"},
    }
    folder = project(plan={"guardrails": rails, "metrics": table})
    router = Router.from_config(folder.config)
    route: Route[[], None] = router.route(ROUTE)

    def serve() -> None:
        for metric in ("views", "kept"):
            record(metric, 1)

    for name in ("v1", "v2"):
        route.variant(name, version="1")(serve)
    with router:
        for number in range(300):
            route.call(EvaluationContext(f"user-{number}"))
    with operator(folder) as person:
        (status,) = person.status()
    assert status.unobserved == ("clicks",)


def test_a_release_reads_what_the_flag_offers_now(project: CreateProject) -> None:
    with operator(project()) as person:
        person.kill([ROUTE], reason="one", actor="ada", wait_s=0)
        release = person.release(ROUTE, trip=1, reason="x", actor="ada")
        person.kill(["unplanned"], reason="one", actor="ada", wait_s=0)
        other = person.release("unplanned", trip=1, reason="x", actor="ada")
    assert release.flag is not None
    assert release.flag.default_variant == "v1"
    assert other.flag is None
