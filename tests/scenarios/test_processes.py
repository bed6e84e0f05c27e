"""Processes that fork, crash or just end: nothing is lost, nothing counted twice."""

import pytest

from apps import exposures, operator
from projects import ROUTE, CreateProject
from troubles import until
from workers import workers


OWN_THREADS = [
    "flipback-evidence",
    "flipback-flagfile",
    "flipback-heart",
    "flipback-notices",
    "flipback-pulse",
]


def test_evidence_of_a_router_that_was_never_stopped_is_flushed_at_exit(
    project: CreateProject,
) -> None:
    folder = project(guard={"run": "manual", "every": "1h", "flush": "1h"})
    with workers(folder, 1) as (worker,):
        worker.ask("serve", 300, 0)
        assert worker.end().count("Traceback") == 0
    assert exposures(folder) == 300


def test_a_process_that_ends_in_good_order_is_forgotten(
    project: CreateProject,
) -> None:
    folder = project()
    with workers(folder, 1) as (worker,), operator(folder) as person:
        worker.ask("serve", 1, 0)
        assert until(lambda: len(person.status()[0].processes) == 1)
        worker.end()
        assert person.status()[0].processes == ()


@pytest.mark.parametrize("before", [0, 25])
def test_a_forked_child_counts_and_obeys_on_its_own(
    project: CreateProject, before: int
) -> None:
    folder = project()
    with workers(folder, 1) as (worker,), operator(folder) as person:
        worker.ask("serve", before, 0)
        _, (flushed, threads) = worker.ask("fork", 30)
        assert (flushed, threads) == (True, OWN_THREADS)
        worker.ask("serve", 40, 1000)
        assert worker.ask("flush")
        assert exposures(folder) == before + 70
        assert until(lambda: len(person.status()[0].processes) == 2)
        (report,) = person.kill([ROUTE], reason="drill", actor="ada", wait_s=0.5)
        assert (report.acknowledged, report.processes) == (2, 2)
        assert worker.ask("reason") == "killed"
        _, code = worker.ask("reap")
        assert code == 0


def test_a_child_forked_while_its_parent_has_unflushed_counts_adds_none_of_them(
    project: CreateProject,
) -> None:
    folder = project(guard={"run": "manual", "every": "1h", "flush": "1h"})
    with workers(folder, 1) as (worker,), operator(folder) as person:
        worker.ask("serve", 300, 0)
        assert worker.ask("flush")
        worker.ask("serve", 200, 1000)
        _, (flushed, _) = worker.ask("fork", 30)
        assert flushed
        assert 330 <= exposures(folder) <= 530
        person.kill([ROUTE], reason="drill", actor="ada", wait_s=0)
        worker.ask("reap")
        worker.end()
    assert exposures(folder) == 530


@pytest.mark.parametrize("flushes", [1, 3, 8, 20])
def test_a_process_killed_amid_its_flushes_loses_at_most_the_last(
    project: CreateProject, flushes: int
) -> None:
    folder = project(guard={"run": "manual", "every": "1h", "flush": "1h"})
    with workers(folder, 1) as (worker,):
        worker.tell("serve_for_ever")
        said = [worker.answer() for _ in range(2 * flushes)]
        said += worker.kill()
    served = max(count for what, count in said if what == "will")
    known = max(count for what, count in said if what == "flushed")
    assert known <= exposures(folder) <= served


def test_two_processes_count_into_one_store(project: CreateProject) -> None:
    folder = project()
    with workers(folder, 2) as started:
        for number, worker in enumerate(started):
            worker.tell("serve", 150, 1000 * number)
        for worker in started:
            worker.answer()
            worker.end()
    assert exposures(folder) == 300
