"""A model that crashes its process cannot look healthy."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps import App
from flipback import Reason
from flipback.assignment import EVERYBODY
from flipback.control import SystemClock
from flipback.stores import SqliteStore
from flipback.verdict import Finding
from projects import CreateProject, Project
from troubles import until


CRASHES = Path(__file__).with_name("crashing.py")
ABORTS = Path(__file__).with_name("aborting.py")
MOST_ABORTS = 30


def crash(project: Project) -> None:
    """Run an application whose candidate kills the process in its tenth call."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, CRASHES, project.config], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL


def errors_of(app: App) -> Finding:
    (look,) = app.router.guard.look()
    return next(
        finding
        for finding in look.analysis.findings
        if finding.metric == "error" and finding.cohort == EVERYBODY
    )


def test_the_call_that_killed_its_process_counts_as_an_error_of_its_variant(
    project: CreateProject,
) -> None:
    folder = project()
    crash(folder)
    with App(folder, fails=False) as app:
        assert until(lambda: errors_of(app).candidate_value)
        found = errors_of(app)
    assert found.candidate_value is not None
    assert round(found.candidate_value * found.candidate_n) == 1
    assert found.control_value in {0.0, None}


def test_two_finders_of_one_crash_count_it_once(project: CreateProject) -> None:
    folder = project()
    crash(folder)
    with App(folder, fails=False) as one, App(folder, fails=False) as other:
        # The file of the dead process goes when its calls have been booked.
        assert until(lambda: len(list(folder.path.glob("*.flights/*.flights"))) == 2)
        found = errors_of(one)
        assert errors_of(other).candidate_n == found.candidate_n
    assert found.candidate_value is not None
    assert round(found.candidate_value * found.candidate_n) == 1


def test_a_crashed_call_is_exposed_in_its_slice(project: CreateProject) -> None:
    folder = project(plan={"metrics": {"resolved": {"matures_after": "2h"}}})
    crash(folder)
    assert sum(exposed(folder).values()) == 9
    with App(folder, fails=False):
        assert until(lambda: sum(exposed(folder).values()) == 10)
    hour = SystemClock().now().timestamp() // 3600
    assert all(0 <= hour - piece <= 1 for piece in exposed(folder))


def exposed(project: Project) -> dict[int, int]:
    """Return how often the candidate was exposed, by slice."""
    store = SqliteStore(project.store, clock=SystemClock())
    try:
        cells = store.evidence("support", attempt=1, trip=0).cells
    finally:
        store.close()
    return {
        key.slice: cell.total_n
        for key, cell in cells.items()
        if (key.metric, key.cohort, key.variant) == ("exposure@7200", EVERYBODY, "v2")
    }


@pytest.mark.long
def test_a_candidate_that_aborts_its_process_is_rolled_back(
    project: CreateProject,
) -> None:
    folder = project()
    for _ in range(MOST_ABORTS):
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, ABORTS, folder.config],
            check=False,
            timeout=60,
            stderr=subprocess.DEVNULL,
        )
        assert done.returncode == -signal.SIGABRT
        with App(folder, fails=False) as app:
            (look,) = app.router.guard.look()
            if look.kill is not None:
                break
    with App(folder, fails=False) as app:
        assert until(lambda: app.reason() is Reason.KILLED)
