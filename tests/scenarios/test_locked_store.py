"""A store that somebody keeps locked holds up no kill."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from apps import App, operator
from projects import ROUTE, CreateProject, Project


pytestmark = pytest.mark.long


@pytest.fixture
def locked(project: CreateProject) -> Iterator[Project]:
    """Return a project whose store has been locked exclusively, as backups do."""
    folder = project()
    with App(folder) as app:
        app.serve(10)
    with closing(sqlite3.connect(folder.store)) as held:
        held.execute("PRAGMA locking_mode=EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
        yield folder


def test_a_kill_reaches_the_flag_and_the_ledger_while_the_store_is_locked(
    locked: Project,
) -> None:
    with operator(locked) as person:
        (report,) = person.kill([ROUTE], reason="it is wrong", actor="ada", wait_s=0)
    assert (report.durable, report.stored) == (True, False)
    assert '"targeting": {}' in locked.flags.read_text()
