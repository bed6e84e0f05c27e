"""Drills with several real processes: how long until nobody sees the candidate."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from apps import operator
from drills import DRILL_FLAG, FLAG, drillable, driller, flags
from flipback.app import DrillReport, Drills
from flipback.control import Delivered
from projects import CreateProject, Project
from troubles import until
from workers import workers


pytestmark = pytest.mark.long
WITHIN_S = 0.5


def drill(folder: Project, *, processes: int, times: int) -> DrillReport:
    with workers(folder, processes) as started, operator(folder) as person:
        for worker in started:
            worker.ask("serve", 1, 10**6)
        assert until(lambda: len(person.status()[0].processes or ()) == processes)
        with driller(folder) as drilling:
            return drilling.run(
                Drills(actor="ada", times=times, within_s=WITHIN_S, wait_s=10.0)
            )


def test_a_hundred_drills_with_four_processes_come_to_control_within_half_a_second(
    project: CreateProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = drillable(project)
    before = flags(folder)
    report = drill(folder, processes=4, times=100)
    with capsys.disabled():
        sys.stdout.write(f"\n100 drills, 4 processes: {report.control}\n")
    assert report.refused == ""
    assert report.control.measured == 400
    assert report.control.p99_ms is not None
    assert report.control.p99_ms <= 1000 * WITHIN_S
    assert flags(folder) == before


def test_each_process_reports_latch_and_flag_of_each_drill(
    project: CreateProject,
) -> None:
    report = drill(drillable(project), processes=2, times=3)
    assert (report.refused, report.left, report.on_time) == ("", (), 3)
    assert [made.trip for made in report.rounds] == [1, 2, 3]
    assert {made.flag for made in report.rounds} == {Delivered.APPLIED}
    assert report.latch.measured == report.by_flag.measured == 6
    assert report.durable.measured == report.written.measured == 3
    assert len(report.processes) == 2


def test_the_command_line_drills_and_says_what_it_has_measured(
    project: CreateProject, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder = drillable(project)
    with workers(folder, 2) as started, operator(folder) as person:
        for worker in started:
            worker.ask("serve", 1, 10**6)
        assert until(lambda: len(person.status()[0].processes or ()) == 2)
        done = run_cli(folder, "drill", "--times", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"drill of flag {DRILL_FLAG}: 2 of 2 times" in done.stdout
    assert f"flag {DRILL_FLAG} is as it was before" in done.stdout


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_a_drill_that_is_ended_while_armed_leaves_nothing_for_long(
    project: CreateProject,
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    ended_by: signal.Signals,
) -> None:
    folder = drillable(project)
    before = flags(folder)
    (folder.path / "flipback.force-control").touch()  # so that nobody is ever armed
    with workers(folder, 1) as (worker,), operator(folder) as person:
        worker.ask("serve", 1, 10**6)
        assert until(lambda: len(person.status()[0].processes or ()) == 1)
        command = [sys.executable, "-m", "flipback.cli", "drill", "--wait", "60s"]
        with subprocess.Popen(command, cwd=folder.path) as drilling:  # noqa: S603 - our own program
            assert until(lambda: flags(folder)[DRILL_FLAG] != FLAG)
            drilling.send_signal(ended_by)
        if ended_by is signal.SIGKILL:
            assert flags(folder) != before
            done = run_cli(folder, "drill", "--clean")
            assert (done.returncode, done.stderr) == (0, "")
            assert "is restored as it was" in done.stdout
        assert flags(folder) == before
        assert "no drill has left" in run_cli(folder, "drill", "--clean").stdout
