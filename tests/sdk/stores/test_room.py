"""What pruning gives back, and that nobody has to wait for it."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flipback.ports import Pruned
from flipback.rollout import RolloutRecord
from flipback.stores import SqliteStore, _room, _sqlite
from flipback.stores._schema import prepare
from flipback.testing import FakeClock
from flipback.testing.course import POINT
from flipback.testing.evidence import EPOCH, ROUTE, batch, key
from flipback.testing.mirror import entry
from flipback.testing.outbox import NOTICE


HASHES = 12_000
ENDED = 4e9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, clock=FakeClock())) as opened:
        fill(opened)
        yield opened


def fill(store: SqliteStore) -> None:
    for attempt in (1, 2, 3):
        epoch = replace(EPOCH, digest=f"a{attempt}", attempt=attempt)
        hashes = set(range(0, 2**64, 2**64 // HASHES))
        store.flush(batch(attempt, epoch=epoch, subjects={key(epoch=epoch): hashes}))
    record = RolloutRecord(route=ROUTE, revision=1, attempt=3, started=1.0)
    store.replace_rollout(record, lease=None)


def prune(store: SqliteStore) -> Pruned:
    return store.prune(before=ENDED, thorough=True)


def saved(pruned: Pruned) -> float:
    assert pruned.size_before
    assert pruned.size_after
    return 1 - pruned.size_after / pruned.size_before


def test_the_space_of_an_ended_attempt_is_given_back(
    path: Path, store: SqliteStore
) -> None:
    pruned = prune(store)
    assert (pruned.attempts, pruned.kept) == (1, "")
    assert pruned.rows > HASHES
    assert saved(pruned) > 0.3
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_others_write_while_a_store_is_pruned(path: Path, store: SqliteStore) -> None:
    done = threading.Event()
    flushes: list[bool] = []

    def flush() -> None:
        with closing(SqliteStore(path, clock=FakeClock())) as other:
            while not done.is_set():
                sequence = len(flushes) + 1
                flushes.append(other.flush(batch(sequence, writer="other")))

    writing = threading.Thread(target=flush)
    writing.start()
    assert prune(store).attempts == 1
    done.set()
    writing.join()
    assert len(flushes) > 5
    assert all(flushes)


def test_a_reader_is_not_waited_for(path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM keys").fetchone()
        pruned = prune(store)
        assert pruned.attempts == 1
        assert "the next prune gives it back" in pruned.kept
    assert prune(store).kept == ""


def without_parts(path: Path) -> None:
    """Make the file one that can be shrunk by no parts, as earlier versions did."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum=NONE")
        db.execute("VACUUM")
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)


def test_a_large_file_of_an_earlier_version_is_not_written_anew(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_parts(path)
    monkeypatch.setattr(_room, "LARGEST_REWRITE", 1000)
    pruned = prune(store)
    assert pruned.attempts == 1
    assert "stop them and run" in pruned.kept


def test_writing_a_file_anew_ends_when_it_takes_too_long(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_parts(path)
    monkeypatch.setattr(_room, "_LONGEST_REWRITE_S", -1.0)
    monkeypatch.setattr(_room, "_STEPS", 1)
    assert "the next prune gives it back" in prune(store).kept
    monkeypatch.undo()
    pruned = prune(store)
    assert (pruned.kept, saved(pruned) > 0.3) == ("", True)


def test_a_writer_keeps_a_file_from_being_written_anew(
    path: Path, store: SqliteStore
) -> None:
    without_parts(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        assert _room._give_back(store._writer) == ""  # noqa: SLF001 - one step of it
        without_parts(path)
        holder.execute("BEGIN IMMEDIATE")
        assert _room._give_back(store._writer) != ""  # noqa: SLF001 - one step of it


def test_what_must_survive_a_power_cut_is_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def watched(db: sqlite3.Connection, path: Path) -> None:
        prepare(db, path)
        db.set_trace_callback(said.append)

    def modes() -> set[str]:
        found = {each for each in said if each.startswith("PRAGMA synchronous")}
        said.clear()
        return found

    monkeypatch.setattr(_sqlite, "prepare", watched)
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        store.mirror("here:/x", [entry(1)])
        store.post(NOTICE)
        store.settle(NOTICE.id, retry_at=None)
        assert modes() == {"PRAGMA synchronous=FULL"}
        store.keep(POINT)
        assert modes() == {"PRAGMA synchronous=NORMAL"}
