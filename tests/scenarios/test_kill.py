"""Who kills, and who obeys it when: several real processes on one folder."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from apps import ENOUGH, operator
from flipback.app import Operator
from flipback.control import SystemClock
from projects import ROUTE, CreateProject
from troubles import until
from workers import TESTS, Worker, workers


WITHIN_S = 0.5
NOW = SystemClock().monotonic


def running(person: Operator) -> int:
    return len(person.status()[0].processes)


def obeying(person: Operator) -> int:
    return person.status()[0].acknowledged


def await_start(person: Operator, started: list[Worker]) -> None:
    for worker in started:
        worker.ask("serve", 1, 10**6)
    assert until(lambda: running(person) == len(started))


def test_a_flip_decided_in_one_process_is_obeyed_by_the_other(
    project: CreateProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project()
    took: list[float] = []
    with workers(folder, 2) as (decider, other), operator(folder) as person:
        await_start(person, [decider, other])
        for trip in range(1, 6):
            decider.ask("serve", ENOUGH, trip * 1000)
            other.tell("await_reason", "killed")
            began, _ = decider.ask("look")
            obeyed = other.answer()
            took.append(obeyed - began)
            assert decider.ask("reason") == "killed"
            person.release(ROUTE, trip=trip, reason="again", actor="ada")
            folder.write_flag({"v1": 50, "v2": 50})
            for worker in (decider, other):
                worker.ask("await_reason", "split")
    with capsys.disabled():
        sys.stdout.write(f"\nflip obeyed elsewhere: worst of 5 {max(took):.3f} s\n")
    assert max(took) <= WITHIN_S


def test_three_of_three_processes_acknowledge_a_kill(
    project: CreateProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project()
    took: list[float] = []
    with workers(folder, 3) as started, operator(folder) as person:
        await_start(person, started)
        for trip in range(1, 6):
            began = NOW()
            (report,) = person.kill(
                [ROUTE], reason="drill", actor="ada", wait_s=WITHIN_S
            )
            took.append(NOW() - began)
            assert (report.acknowledged, report.processes) == (3, 3)
            assert [each.ask("reason") for each in started] == ["killed"] * 3
            person.release(ROUTE, trip=trip, reason="again", actor="ada")
            for worker in started:
                worker.ask("await_reason", "split", "static")
    with capsys.disabled():
        sys.stdout.write(f"\n3 of 3 acknowledged: worst of 5 {max(took):.3f} s\n")


def test_a_process_that_starts_after_a_kill_obeys_it(project: CreateProject) -> None:
    folder = project()
    with operator(folder) as person:
        (report,) = person.kill([ROUTE], reason="broken", actor="ada", wait_s=0)
    assert report.complete
    with workers(folder, 1) as (worker,):
        assert worker.ask("serve", 50, 0) == {"v1": 50}
        assert worker.ask("reason") == "killed"


def test_a_killed_process_is_not_counted_as_running(project: CreateProject) -> None:
    folder = project()
    with workers(folder, 3) as started, operator(folder) as person:
        await_start(person, started)
        started[0].kill()
        (report,) = person.kill([ROUTE], reason="drill", actor="ada", wait_s=WITHIN_S)
        assert (report.acknowledged, report.processes) == (2, 2)


def test_a_process_that_ends_in_good_order_is_not_counted(
    project: CreateProject,
) -> None:
    folder = project()
    with workers(folder, 2) as started, operator(folder) as person:
        await_start(person, started)
        started[0].ask("stop")
        assert running(person) == 1


def test_a_frozen_process_is_reported_as_not_acknowledged(
    project: CreateProject,
) -> None:
    folder = project()
    with workers(folder, 3) as started, operator(folder) as person:
        await_start(person, started)
        os.kill(started[0].pid, signal.SIGSTOP)
        (report,) = person.kill([ROUTE], reason="drill", actor="ada", wait_s=WITHIN_S)
        assert (report.acknowledged, report.processes) == (2, 3)
        os.kill(started[0].pid, signal.SIGCONT)
        assert until(lambda: obeying(person) == 3)
        assert started[0].ask("reason") == "killed"


def test_a_frozen_process_that_slept_through_kill_and_release_flips_nothing(
    project: CreateProject,
) -> None:
    folder = project(guard={"run": "thread"})
    with workers(folder, 2) as (frozen, other), operator(folder) as person:
        await_start(person, [frozen, other])
        os.kill(frozen.pid, signal.SIGSTOP)
        other.ask("serve", ENOUGH, 0)
        other.ask("await_reason", "killed")
        person.release(ROUTE, trip=1, reason="fixed", actor="ada")
        folder.write_flag({"v1": 50, "v2": 50})
        os.kill(frozen.pid, signal.SIGCONT)
        frozen.ask("await_reason", "split")
        frozen.ask("flush")
        assert person.status()[0].latch.trip == 1


def test_a_store_that_is_locked_keeps_nobody_from_obeying(
    project: CreateProject,
) -> None:
    folder = project()
    with workers(folder, 1) as (worker,), operator(folder) as person:
        await_start(person, [worker])
        with closing(sqlite3.connect(folder.store, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            worker.tell("serve", 20, 0)
            worker.answer()
            worker.tell("await_reason", "killed")
            killing = threading.Thread(
                target=person.kill,
                args=([ROUTE],),
                kwargs={"reason": "x", "actor": "ada", "wait_s": 0},
            )
            began = NOW()
            killing.start()
            obeyed = worker.answer()
            lock.execute("ROLLBACK")
        killing.join()
    assert obeyed - began <= WITHIN_S


def test_a_ledger_that_hangs_keeps_no_process_from_ending(
    project: CreateProject,
) -> None:
    folder = project()
    script = """
import sys, troubles
from pathlib import Path
from projects import Project, ROUTE
troubles.PATIENCE_S = 300.0
path = Path(sys.argv[1])
flags = path / "flags.flagd.json"
project = Project(path=path, config=path / "flipback.toml", flags=flags)
ledger = troubles.BlockedLedger(project.ledger, troubles.SystemClock())
control = troubles.Control(project, ledger=ledger)
print(control.switch.kill(ROUTE, intent=troubles.INTENT).durable)
control.close()
"""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script, folder.path],
        env={**os.environ, "PYTHONPATH": str(TESTS / "plugins")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "False\n"
    assert "Traceback" not in done.stderr


def test_the_command_line_kills_every_running_process(
    project: CreateProject, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder = project()
    with workers(folder, 3) as started, operator(folder) as person:
        await_start(person, started)
        done = run_cli(folder, "kill", ROUTE, "--reason", "drill")
        assert (done.returncode, done.stderr) == (0, "")
        assert "processes: 3 of 3 acknowledged" in done.stdout
        assert [each.ask("reason") for each in started] == ["killed"] * 3
