"""A file that the version before wrote goes on being used, by both versions."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from flipback.exposure import Epoch
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from flipback.testing.evidence import ROUTE, SLOW, batch, cell, histogram, key


WRITTEN = Path(__file__).with_name("schema_1.sql").read_text()
EPOCH = Epoch(
    digest="e1", route=ROUTE, attempt=1, trip=0, described="a plan", comparison="c1"
)
OF_VERSION_1 = """
INSERT OR IGNORE INTO epochs
    (route, digest, ordinal, attempt, trip, described, comparison)
VALUES ('support-reply', 'e9', 9, 1, 0, 'older', 'c1')
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "x.db"
    with closing(sqlite3.connect(made)) as db:
        db.executescript(WRITTEN)
    return made


def versions(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, value FROM meta WHERE name <> 'secret'"))


def test_what_the_version_before_observed_is_kept(path: Path) -> None:
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        found = store.evidence(ROUTE, attempt=1, trip=0)
        assert (found.cells[key()].total_n, found.cells[key()].mean) == (3, 1.0)
        assert found.subjects == {key(): 2}
        assert found.excluded == {"killed": 4}
        assert (found.sampled, found.shares, found.histograms) == (1.0, {}, {})
        assert list(store.epochs(ROUTE)) == [EPOCH]
        assert store.latches()[ROUTE].trip == 2
        assert not store.flush(batch(3))


def test_a_file_of_the_version_before_takes_what_is_new(path: Path) -> None:
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        cost = key("cost")
        fresh = batch(4, cells={cost: cell([1])}, histograms={cost: histogram(1.0)})
        assert store.flush(fresh)
        assert store.freeze(ROUTE, "c1", {"cost": SLOW}) == {"cost": SLOW}
        found = store.evidence(ROUTE, attempt=1, trip=0, comparison="c1")
    assert found.histograms["cost"].total_n == 1
    assert versions(path) == {"schema": 2, "oldest": 1}


def test_the_version_before_may_go_on_writing(path: Path) -> None:
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(OF_VERSION_1)
        assert [epoch.digest for epoch in store.epochs(ROUTE)] == ["e1", "e9"]


def test_processes_that_start_at_once_change_the_file_once(path: Path) -> None:
    start = threading.Barrier(4)
    counts: list[int] = []

    def open_at_once() -> None:
        start.wait()
        with closing(SqliteStore(path, clock=FakeClock())) as store:
            counts.append(len(store.evidence(ROUTE, attempt=1, trip=0).cells))

    threads = [threading.Thread(target=open_at_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 4


def test_a_new_file_has_the_tables_of_one_that_was_changed(
    path: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh.db"
    for each in (path, fresh):
        SqliteStore(each, clock=FakeClock()).close()
    assert _columns(path) == _columns(fresh)
    assert versions(path) == versions(fresh)


def _columns(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema")]
        return {
            name: [row[1] for row in db.execute(f"PRAGMA table_info({name!r})")]
            for name in names
        }
