"""A candidate that answers unseen is judged by its answers, and harms nobody."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from apps import App, exposures, operator
from flipback import Reason
from flipback.control import Look
from flipback.rollout import Phase
from projects import ROUTE, CreateProject, Project
from shadow_stages import pairs, set_phase, shadow_project
from troubles import until
from workers import workers


ABORTS = Path(__file__).with_name("aborting.py")
FEW = 40
"""Calls that fit into the queue."""

MOST_ABORTS = 30


def look(app: App) -> Look:
    (found,) = app.router.guard.look()
    return found


def counted(app: App, project: Project, number: int) -> bool:
    """Wait until so many pairs are in the store."""

    def all_there() -> bool:
        app.router.flush()
        return pairs(project).get("v2", (0, 0.0))[0] >= number

    return until(all_there)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def at_work() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "flipback-shadow"]


def test_a_candidate_that_fails_unseen_is_rolled_back_and_nobody_has_met_it(
    project: CreateProject,
) -> None:
    folder = shadow_project(project)
    with App(folder) as app:
        served = app.serve(FEW)
        assert counted(app, folder, FEW)
        assert pairs(folder) == {"v1": (FEW, 0.0), "v2": (FEW, 1.0)}
        kill = look(app).kill
        assert kill is not None
        assert "error" in kill.latch.reason
        assert app.reason() is Reason.KILLED
        assert until(lambda: not at_work())
    assert served == {"v1": FEW}
    assert exposures(folder) == 0


def test_a_candidate_that_is_as_good_stays(project: CreateProject) -> None:
    folder = shadow_project(project)
    with App(folder, fails=False) as app:
        app.serve(FEW)
        assert counted(app, folder, FEW)
        assert look(app).kill is None
    assert pairs(folder) == {"v1": (FEW, 0.0), "v2": (FEW, 0.0)}


def test_a_kill_stops_the_shadow(project: CreateProject) -> None:
    folder = shadow_project(project)
    with App(folder, fails=False) as app, operator(folder) as person:
        app.serve(FEW)
        assert counted(app, folder, FEW)
        person.kill([ROUTE], actor="ada", reason="it costs too much", wait_s=0.0)
        assert until(lambda: app.reason() is Reason.KILLED)
        app.serve(FEW)
        assert until(lambda: not at_work())
    assert pairs(folder)["v2"] == (FEW, 0.0)


def test_threads_come_and_go_with_the_stage(project: CreateProject) -> None:
    folder = shadow_project(project, shadow={"workers": 3})
    set_phase(folder, Phase.CANARY)
    with App(folder) as app:
        app.serve(1)
        assert at_work() == []
        set_phase(folder, Phase.SHADOW)
        assert until(lambda: len(at_work()) == 3)
        set_phase(folder, Phase.PAUSED)
        assert until(lambda: not at_work())


def test_a_stop_flushes_and_leaves_neither_threads_nor_files(
    project: CreateProject,
) -> None:
    folder = shadow_project(project)

    def run() -> None:
        with App(folder, fails=False) as app:
            app.serve(FEW)
            assert until(lambda: len(at_work()) == 1)

    run()
    before = descriptors()
    for _ in range(3):
        run()
    assert descriptors() == before
    assert at_work() == []
    assert pairs(folder)["v1"][0] == pairs(folder)["v2"][0] > 0


def test_a_forked_child_shadows_with_threads_of_its_own(
    project: CreateProject,
) -> None:
    folder = shadow_project(project, guard={"run": "manual", "flush": "50ms"})
    with workers(folder, 1) as (parent,), operator(folder) as person:
        parent.ask("serve", FEW, 0)
        assert until(lambda: pairs(folder).get("v2", (0, 0))[0] == FEW)
        _, (flushed, threads) = parent.ask("fork", FEW)
        assert flushed
        assert threads.count("flipback-shadow") <= 1
        assert until(lambda: pairs(folder)["v2"][0] == 2 * FEW)
        person.kill([ROUTE], actor="ada", reason="done", wait_s=0.0)
        _, code = parent.ask("reap")
        assert code == 0


def abort(project: Project) -> None:
    """Run an application whose candidate aborts it as soon as it answers unseen."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, ABORTS, project.config],
        check=False,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )
    assert done.returncode == -signal.SIGABRT


def test_an_abort_while_nobody_sees_the_candidate_is_an_error_of_a_pair(
    project: CreateProject,
) -> None:
    folder = shadow_project(project)
    abort(folder)
    assert pairs(folder) == {}
    with App(folder, fails=False):
        assert until(lambda: pairs(folder) == {"v1": (1, 0.0), "v2": (1, 1.0)})
    assert exposures(folder) == 0


@pytest.mark.long
def test_a_candidate_that_aborts_unseen_is_rolled_back(project: CreateProject) -> None:
    folder = shadow_project(project)
    for _ in range(MOST_ABORTS):
        abort(folder)
        with App(folder, fails=False) as app:
            if look(app).kill is not None:
                break
    with App(folder, fails=False) as app:
        assert until(lambda: app.reason() is Reason.KILLED)
