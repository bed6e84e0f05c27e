from contextlib import closing

from flipback.cli import ExitCode
from flipback.control import SystemClock
from flipback.ports import Notice, ProcessRecord
from flipback.stores import SqliteStore
from flipback.testing.evidence import batch
from shells import Project


A_MONTH_S = 30 * 86_400.0


def fill(project: Project, *, age_s: float) -> None:
    clock = SystemClock()
    then = clock.now().timestamp() - age_s
    with closing(SqliteStore(project.root / "flipback.db", clock=clock)) as store:
        for name in ("p1", "p2"):
            store.beat(ProcessRecord(id=name, host="h", pid=1, seen_at=then))
        store.post(
            Notice(id="n1", target=0, event="trip", route="r", at=then, body="{}")
        )
        store.settle("n1", retry_at=None)
        store.flush(batch())


def test_what_is_over_is_forgotten_and_told(project: Project) -> None:
    fill(project, age_s=A_MONTH_S + 60)
    said = project.run("prune")
    assert said.code == ExitCode.OK
    first, second = said.out.splitlines()
    assert first == "forgot 2 processes that ended"
    assert second.startswith("the store took ")
    assert project.run("prune").out.startswith("nothing to forget\n")


def test_what_is_younger_stays(project: Project) -> None:
    fill(project, age_s=A_MONTH_S - 3600)
    assert project.run("prune", "--json").json()["processes"] == 0
    answer = project.run("prune", "--older-than", "0s", "--json").json()
    assert (answer["processes"], answer["notices"], answer["writers"]) == (2, 1, 1)
    assert answer["size_before"] >= answer["size_after"] > 0


def test_a_store_that_is_not_there_is_not_created(project: Project) -> None:
    assert project.run("prune").out == "nothing to forget\n"
    assert not (project.root / "flipback.db").exists()


def test_a_store_that_cannot_be_read_is_told(project: Project) -> None:
    (project.root / "flipback.db").write_bytes(b"no database at all" * 100)
    assert project.run("prune").code == ExitCode.UNAVAILABLE


def test_a_time_that_is_none_is_a_wrong_argument(project: Project) -> None:
    assert project.run("prune", "--older-than", "long").code == ExitCode.USAGE
