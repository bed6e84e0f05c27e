"""What `flipback drill` says, and how it ends."""

from contextlib import closing

import pytest

from flipback.app import DrillReport, DrillRound, Sighting
from flipback.app._drill import DRILL_ROUTE
from flipback.cli import ExitCode
from flipback.cli.drill import _exit_code, _text
from flipback.control import Delivered, SystemClock
from flipback.rollout import Phase, RolloutRecord
from flipback.stores import SqliteStore
from shells import Project


SEEN = Sighting(process="h:1:a", armed=True, control_ms=90.0, latch_ms=90.0)
LATE = Sighting(process="h:2:b", armed=True)


def made(*sightings: Sighting, flag: Delivered = Delivered.APPLIED) -> DrillRound:
    return DrillRound(
        drill="drill-1",
        sightings=sightings,
        armed_ms=100.0,
        durable_ms=1.0,
        written_ms=None if flag is not Delivered.APPLIED else 2.0,
        flag=flag,
        trip=1,
    )


def report(*rounds: DrillRound, **parts: object) -> DrillReport:
    return DrillReport(flag="f", within_s=0.5, rounds=rounds, **parts)  # type: ignore[arg-type] - parts by name


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (report(made(SEEN)), ExitCode.OK),
        (report(made(SEEN), made(SEEN, LATE)), ExitCode.UNACKNOWLEDGED),
        (report(made(LATE, flag=Delivered.BLOCKED)), ExitCode.LOCAL_ONLY),
        (report(refused="no process runs"), ExitCode.REFUSED),
        (report(made(SEEN), left=("the flag",)), ExitCode.UNAVAILABLE),
    ],
)
def test_the_exit_code_is_that_of_the_worst(shown: DrillReport, code: ExitCode) -> None:
    assert _exit_code(shown) is code


def test_a_process_that_is_late_or_was_never_armed_is_named() -> None:
    unarmed = Sighting(process="h:3:c", armed=False)
    said = "\n".join(_text(report(made(SEEN, LATE, unarmed), strangers=2)))
    assert "0 of 1 times" in said
    assert "process h:2:b did not come to control" in said
    assert "process h:3:c never saw all subjects get the candidate" in said
    assert "2 running processes do not know the drill flag" in said


def test_control_before_the_kill_and_clocks_of_hosts_are_doubted() -> None:
    early = Sighting(process="g:1:a", armed=True, control_ms=-40.0)
    said = "\n".join(_text(report(made(SEEN, early))))
    assert "control was seen before the kill" in said
    assert "as good as their clocks agree" in said


def test_a_refusal_says_what_to_do(project: Project) -> None:
    done = project.run("drill")
    assert done.code is ExitCode.REFUSED
    assert "no drill was made" in done.out
    assert "to do: add `drill_flag" in done.out
    assert project.run("drill", "--clean").code is ExitCode.REFUSED


def test_json_says_the_same(project: Project) -> None:
    said = project.run("drill", "--json").json()
    assert (said["exit"], said["on_time"]) == (6, 0)
    assert said["control"]["p99_ms"] is None


def test_check_names_what_keeps_the_drill_flag_from_being_drilled(
    project: Project,
) -> None:
    project.write("flipback.toml", 'drill_flag = "drill-me"')
    done = project.run("check")
    assert done.code is ExitCode.MISTAKES
    assert "drill_flag: the flag service has no flag 'drill-me'" in done.out
    project.flag("drill-me", control="control", candidate="candidate")
    assert project.run("check").code is ExitCode.OK
    assert not (project.root / "flipback.db").exists()


@pytest.mark.parametrize("command", ["check", "status"])
def test_a_drill_that_broke_off_is_told_with_the_command_that_ends_it(
    project: Project, command: str
) -> None:
    project.write("flipback.toml", 'drill_flag = "drill-me"')
    project.flag("drill-me", control="control", candidate="candidate")
    with closing(SqliteStore(project.root / "flipback.db", clock=SystemClock())) as db:
        record = RolloutRecord(
            route=DRILL_ROUTE, revision=1, phase=Phase.CANARY, why="drill-1"
        )
        assert db.replace_rollout(record, lease=None)
    done = project.run(command)
    assert done.code is ExitCode.MISTAKES
    assert "end it with: flipback drill --clean" in done.out + done.err
    assert project.run("drill", "--clean").code is ExitCode.OK
    assert project.run(command).code is ExitCode.OK


@pytest.mark.parametrize("times", ["0", "-1", "x"])
def test_a_number_of_drills_is_1_or_more(project: Project, times: str) -> None:
    assert project.run("drill", "--times", times).code is ExitCode.USAGE
