import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from flipback.app._assembly import forced
from flipback.assignment import Reason
from flipback.config import NotifyOn
from flipback.control import Delivered, KillSwitch, SystemClock, Told
from flipback.errors import FlagProblem
from flipback.ports import EntryKind, FlagRef
from projects import FLAG, ROUTE, Project
from troubles import INTENT, Control, RefusingLedger, WallClock, refusal, until


Build = Callable[..., Control]
TRANSIENT = (
    FlagProblem.UNAVAILABLE,
    FlagProblem.RATE_LIMITED,
    FlagProblem.CONFLICT,
    FlagProblem.NOT_FOUND,
)
LASTING = (
    FlagProblem.FORBIDDEN,
    FlagProblem.APPROVAL_REQUIRED,
    FlagProblem.INVALID_WRITE,
)


def flag_in(project: Project) -> dict[str, object]:
    flag: dict[str, object] = json.loads(project.flags.read_text())["flags"][FLAG]
    return flag


def arrivals(control: Control) -> int:
    entries = control.ground.ledger.entries()
    return sum(entry.kind is EntryKind.FLAG_WRITE for entry in entries)


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_failed_flag_write_is_not_believed_and_repeated_until_applied(
    control: Build, folder: Project, kind: FlagProblem
) -> None:
    process = control(trouble=refusal(kind))
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.flag, report.complete) == (Delivered.PENDING, False)
    assert kind.value in report.problem
    assert arrivals(process) == 0
    process.writer.trouble = None
    assert until(lambda: arrivals(process) == 1)
    assert flag_in(folder)["targeting"] == {}


@pytest.mark.parametrize("kind", LASTING)
def test_a_flag_write_that_is_not_allowed_is_blocked_and_control_serves(
    control: Build, kind: FlagProblem
) -> None:
    process = control(trouble=refusal(kind))
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.flag, report.durable, report.stored) == (
        Delivered.BLOCKED,
        True,
        True,
    )
    process.switch.refresh()
    assert process.override is Reason.KILLED
    process.writer.trouble = None
    assert until(lambda: arrivals(process) == 1)


def test_a_bug_of_a_flag_writer_stops_no_kill(control: Build) -> None:
    process = control(trouble=ZeroDivisionError("a bug"))
    process.switch.refresh()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert process.override is Reason.KILLED
    assert (report.durable, report.stored, report.flag) == (
        True,
        True,
        Delivered.PENDING,
    )
    assert "ZeroDivisionError('a bug')" in report.problem
    process.writer.trouble = None
    assert until(lambda: arrivals(process) == 1)


def test_nobody_repeats_a_kill_that_was_released(control: Build) -> None:
    process = control(trouble=refusal(FlagProblem.UNAVAILABLE))
    process.switch.kill(ROUTE, intent=INTENT)
    process.release(1)
    process.switch.refresh()
    process.close()
    tried = process.writer.kills
    process.writer.trouble = None
    process.switch.resume()
    assert process.writer.kills == tried
    assert arrivals(process) == 0


def test_a_kill_that_its_process_did_not_deliver_is_delivered_by_another(
    control: Build, folder: Project
) -> None:
    crashed = control(trouble=refusal(FlagProblem.UNAVAILABLE))
    crashed.switch.kill(ROUTE, intent=INTENT)
    crashed.close()
    process = control()
    process.switch.refresh()
    process.switch.resume()
    assert until(lambda: arrivals(process) == 1)
    assert flag_in(folder)["targeting"] == {}


def test_a_flag_that_a_person_edited_after_the_kill_is_left_alone(
    control: Build, folder: Project
) -> None:
    control().switch.kill(ROUTE, intent=INTENT)
    folder.write_flag({"v1": 10, "v2": 90})
    edited = folder.flags.read_text()
    restarted = control()
    restarted.switch.refresh()
    restarted.switch.resume()
    restarted.switch.stop()
    assert folder.flags.read_text() == edited
    assert restarted.writer.kills == 0
    assert restarted.switch.latch(ROUTE).held


def test_an_arrival_is_written_down_once_the_ledger_takes_it(
    control: Build, folder: Project
) -> None:
    ledger = RefusingLedger(folder.ledger, SystemClock())
    process = control(ledger=ledger)
    process.switch.kill(ROUTE, intent=INTENT)
    assert arrivals(process) == 0
    ledger.refuses = False
    assert until(lambda: arrivals(process) == 1)
    process.close()
    folder.write_flag({"v1": 10, "v2": 90})
    restarted = control()
    restarted.switch.refresh()
    restarted.switch.resume()
    restarted.switch.stop()
    assert restarted.writer.kills == 0


def test_an_arrival_that_cannot_be_written_down_is_noted(
    control: Build, folder: Project
) -> None:
    class Half(RefusingLedger):
        @override
        def note(self, *_: object, **__: object) -> None:
            raise self.error

    ledger = Half(folder.ledger, SystemClock())
    ledger.refuses = False
    process = control(ledger=ledger)
    assert process.switch.kill(ROUTE, intent=INTENT).complete
    assert "kill not delivered everywhere yet: the disk is full" in process.faults


def test_a_flag_is_killed_although_it_cannot_be_read_before(
    control: Build, folder: Project
) -> None:
    good = folder.flags.read_text()
    process = control()
    folder.flags.unlink()
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert report.flag is Delivered.PENDING
    assert str(folder.flags) in report.problem
    folder.flags.write_text(good)
    assert until(lambda: flag_in(folder)["targeting"] == {})


def test_an_arrival_is_looked_up_in_vain_where_the_ledger_is_damaged(
    control: Build, folder: Project
) -> None:
    process = control()
    folder.ledger.write_text('{"edited": 1}\n{"edited": 2}\n')
    report = process.switch.kill(ROUTE, intent=INTENT)
    assert (report.durable, report.flag) == (False, Delivered.APPLIED)
    assert "does not match its digest" in report.problem


def test_pursuits_end_when_they_are_stopped(control: Build) -> None:
    process = control(trouble=refusal(FlagProblem.UNAVAILABLE))
    process.switch.kill(ROUTE, intent=INTENT)
    process.close()
    tried = process.writer.kills
    process.writer.trouble = None
    assert (process.writer.kills, arrivals(process)) == (tried, 0)
    state = process.writer.read(FlagRef(key=FLAG))
    assert state.split == {"v1": 50_000, "v2": 50_000}


def test_a_route_without_a_plan_can_be_killed(control: Build) -> None:
    process = control()
    report = process.switch.kill("unplanned", intent=INTENT)
    assert report.flag is Delivered.NO_WRITER
    assert report.complete
    assert process.ground.ledger.latches()["unplanned"].held


def test_people_are_told_of_a_kill_that_no_flag_service_has_taken_for_a_minute(
    control: Build,
) -> None:
    clock, told = WallClock(), list[Told]()
    process = control(clock=clock, trouble=refusal(FlagProblem.UNAVAILABLE))
    ground = replace(process.ground, tell=told.append)
    switch = KillSwitch(ground, forced(process.settings))
    switch.kill(ROUTE, intent=INTENT)
    clock.turn(timedelta(seconds=59))
    plan, latch = ground.plans[ROUTE], switch.latch(ROUTE)
    switch.stop()
    late = replace(process.switch.kill(ROUTE, intent=INTENT), latch=latch)
    assert NotifyOn.BLOCKED not in {each.event for each in told}
    clock.turn(timedelta(seconds=2))
    switch._delivery.attempt(plan, late)  # noqa: SLF001 - rather than to sleep
    blocked = [each for each in told if each.event is NotifyOn.BLOCKED]
    assert "does not take the kill of route support (trip 1)" in blocked[0].text
    assert "unavailable" in blocked[0].text
