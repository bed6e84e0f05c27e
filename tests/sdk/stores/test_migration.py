"""A file that the version before wrote goes on being used, by both versions."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from flipback.exposure import Epoch
from flipback.rollout import Phase, RolloutRecord
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from flipback.testing.evidence import ROUTE, SLOW, batch, cell, histogram, key


FIRST = Path(__file__).with_name("schema_1.sql").read_text()
SECOND = FIRST + Path(__file__).with_name("schema_2.sql").read_text()
EPOCH = Epoch(
    digest="e1", route=ROUTE, attempt=1, trip=0, described="a plan", comparison="c1"
)
OF_VERSION_1 = """
INSERT OR IGNORE INTO epochs
    (route, digest, ordinal, attempt, trip, described, comparison)
VALUES ('support-reply', 'e9', 9, 1, 0, 'older', 'c1')
"""


OF_VERSION_2 = (
    "INSERT OR REPLACE INTO processes (id, host, pid, seen_at, trips)"
    " VALUES ('q', 'h', 8, 1767225600.0, '{}')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOfVersion2:
    """A rollout record as versions 1 and 2 know it."""

    route: str
    revision: int = 0
    attempt: int = 1
    stage: int = 0


@pytest.fixture(params=[FIRST, SECOND], ids=["1", "2"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return made(tmp_path, request.param)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return made(tmp_path, SECOND)


def made(folder: Path, written: str) -> Path:
    path = folder / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(written)
    return path


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
    assert versions(path) == {"schema": 3, "oldest": 1}


def test_the_version_before_may_go_on_writing(path: Path) -> None:
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(OF_VERSION_1)
        assert [epoch.digest for epoch in store.epochs(ROUTE)] == ["e1", "e9"]


def test_processes_and_records_of_version_2_are_read(second: Path) -> None:
    with closing(SqliteStore(second, clock=FakeClock())) as store:
        with closing(sqlite3.connect(second)) as db, db:
            db.execute(OF_VERSION_2)
        trips = {process.id: process.trips for process in store.processes(since=0)}
        assert trips == {"p": {ROUTE: 2}, "q": {}}
        assert store.rollout(ROUTE) == RolloutRecord(route=ROUTE, revision=1)


def test_a_rollout_record_is_read_by_version_2(second: Path) -> None:
    record = RolloutRecord(
        route=ROUTE, revision=2, attempt=3, stage=1, phase=Phase.CANARY, split={"a": 1}
    )
    with closing(SqliteStore(second, clock=FakeClock())) as store:
        assert store.replace_rollout(record, lease=None)
    with closing(sqlite3.connect(second)) as db:
        (written,) = db.execute("SELECT record FROM rollouts").fetchone()
    read = TypeAdapter(RecordOfVersion2).validate_json(written)
    assert read == RecordOfVersion2(route=ROUTE, revision=2, attempt=3, stage=1)


def test_a_file_of_the_version_before_gives_space_back(second: Path) -> None:
    with closing(SqliteStore(second, clock=FakeClock())) as store:
        hashes = set(range(20_000))
        for attempt in (1, 2, 3):
            epoch = replace(EPOCH, digest=f"a{attempt}", attempt=attempt)
            of = key(epoch=epoch)
            store.flush(batch(attempt + 3, epoch=epoch, subjects={of: hashes}))
        record = RolloutRecord(route=ROUTE, revision=2, attempt=3, started=1.0)
        store.replace_rollout(record, lease=None)
        pruned = store.prune(before=4e9, thorough=True)
    assert (pruned.attempts, pruned.kept) == (1, "")
    assert pruned.size_before is not None
    assert pruned.size_after is not None
    assert pruned.size_after < pruned.size_before
    with closing(sqlite3.connect(second)) as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)


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
