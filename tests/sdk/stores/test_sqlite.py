import random
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flipback.errors import StoreError
from flipback.exposure import Epoch
from flipback.latch import Latch
from flipback.ports import Store
from flipback.rollout import RolloutRecord
from flipback.stores import SqliteStore, open_sqlite
from flipback.testing import FakeClock
from flipback.testing.evidence import EPOCH, ROUTE, batch, cell, key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, clock=FakeClock(), most_hashes=1000)
    yield opened
    opened.close()


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as refused:
        open_at(path).close()
    return str(refused.value)


def open_at(path: Path) -> Store:
    return open_sqlite(str(path), base="", clock=FakeClock())


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def test_a_relative_path_starts_at_the_base(tmp_path: Path) -> None:
    open_sqlite("x.db", base=str(tmp_path), clock=FakeClock()).close()
    assert (tmp_path / "x.db").is_file()


@pytest.mark.parametrize("location", ["", ":memory:"])
def test_a_store_that_no_process_could_share_is_refused(location: str) -> None:
    with pytest.raises(StoreError, match="names no file"):
        open_sqlite(location, base="", clock=FakeClock())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.db"
    assert refusal(path) == (
        f"{path} cannot be opened; its folder {path.parent} does not exist"
    )


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist" in refusal(tmp_path / "file" / "x.db")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder; name a file in it")


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_bytes(b"invoices\n" * 1000)
    assert f"{path} is no SQLite database; name another file" in refusal(path)
    assert path.read_bytes() == b"invoices\n" * 1000


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    change(path, "CREATE TABLE invoices (amount)")
    assert refusal(path).startswith(f"{path} is a database of something else")


def test_a_damaged_file_is_named(path: Path) -> None:
    open_at(path).close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    assert f"{path} is damaged; move it away" in refusal(path)


def test_a_damaged_cell_is_no_evidence(path: Path, store: SqliteStore) -> None:
    store.flush(batch(cells={key(): cell([1])}))
    change(path, "UPDATE cells SET n = x'00'")
    with pytest.raises(StoreError, match=r"x\.db cannot be used .*wrong size"):
        store.evidence(ROUTE, attempt=1, trip=0)


def test_a_store_of_a_later_version_is_refused(path: Path) -> None:
    open_at(path).close()
    change(path, "UPDATE meta SET value = 7 WHERE name IN ('schema', 'oldest')")
    assert refusal(path) == (
        f"{path} was written by a later version of flipback (schema 7, this one "
        "knows 3); upgrade flipback, or name another file in `store`"
    )


def test_the_next_version_may_share_a_store(path: Path) -> None:
    open_at(path).close()
    change(path, "UPDATE meta SET value = 4 WHERE name = 'schema'")
    change(path, "ALTER TABLE cells ADD COLUMN later DEFAULT 0")
    shared = open_at(path)
    assert shared.flush(batch(cells={key(): cell([1])}))
    shared.close()


def test_a_rollout_record_that_cannot_be_read_asks_for_an_upgrade(
    path: Path, store: SqliteStore
) -> None:
    store.replace_rollout(RolloutRecord(route=ROUTE, revision=1), lease=None)
    change(path, "UPDATE rollouts SET record = '[]'")
    with pytest.raises(StoreError, match="cannot read; upgrade flipback"):
        store.rollout(ROUTE)


def test_a_lease_taken_by_a_clock_that_was_ahead_keeps_nobody_out(path: Path) -> None:
    ahead = FakeClock()
    ahead.advance(3600)
    with closing(SqliteStore(path, clock=ahead)) as dead:
        held = dead.acquire("rollout", holder="dead", ttl_s=10)
    with closing(SqliteStore(path, clock=FakeClock())) as store:
        lease = store.acquire("rollout", holder="next", ttl_s=10)
        assert held is not None
        assert lease is not None
        assert lease.fence > held.fence
        assert store.acquire("rollout", holder="third", ttl_s=10) is None


def test_words_that_are_no_unicode_do_not_stop_a_kill(store: SqliteStore) -> None:
    store.put_latch(Latch(route=ROUTE, trip=1, held=True, reason="\udcff"))
    assert store.latches()[ROUTE].held


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed by this process"):
        store.latches()


def test_a_store_that_was_removed_starts_empty(path: Path, store: SqliteStore) -> None:
    store.flush(batch(1, cells={key(): cell([1])}))
    for file in path.parent.iterdir():
        file.unlink()
    assert store.flush(batch(2, cells={key(): cell([1, 1])}))
    assert store.evidence(ROUTE, attempt=1, trip=0).cells[key()].total_n == 2


def test_what_fails_half_way_leaves_nothing(path: Path, store: SqliteStore) -> None:
    change(
        path,
        "CREATE TRIGGER full BEFORE INSERT ON excluded"
        " BEGIN SELECT raise(ABORT, 'no room'); END",
    )
    whole = batch(cells={key(): cell([1])}, excluded={(ROUTE, "killed"): 1})
    with pytest.raises(StoreError, match="no room"):
        store.flush(whole)
    assert store.evidence(ROUTE, attempt=1, trip=0).cells == {}
    change(path, "DROP TRIGGER full")
    assert store.flush(whole)


def test_a_locked_store_can_be_read_and_says_what_to_do(path: Path) -> None:
    impatient = SqliteStore(path, clock=FakeClock(), busy_timeout_s=0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            impatient.flush(batch())
        assert impatient.latches() == {}
    impatient.close()


@pytest.mark.parametrize("stores", [0, 1])
def test_a_file_that_stays_locked_is_not_waited_for_beyond_the_timeout(
    path: Path, stores: int
) -> None:
    for _ in range(stores):
        open_at(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(StoreError, match="was locked by another process"):
            SqliteStore(path, clock=FakeClock(), busy_timeout_s=0.2)
        assert 0.2 <= time.monotonic() - began < 2
    open_at(path).close()


def test_a_write_goes_on_as_soon_as_the_lock_is_free(
    path: Path, store: SqliteStore
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        flush = threading.Thread(target=store.flush, args=(batch(),))
        flush.start()
        flush.join(0.2)
        assert flush.is_alive()
        holder.execute("COMMIT")
    flush.join()
    assert not store.flush(batch())


def test_nobody_else_may_read_what_keeps_the_secret(
    path: Path, store: SqliteStore
) -> None:
    store.secret()
    modes = {
        each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()
    }
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}


def test_the_mode_of_a_file_that_exists_is_kept(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    open_at(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_threads_share_one_store(store: SqliteStore) -> None:
    def flush(writer: str) -> None:
        for sequence in range(1, 6):
            store.flush(batch(sequence, writer=writer, cells={key(): cell([1])}))

    threads = [threading.Thread(target=flush, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.evidence(ROUTE, attempt=1, trip=0).cells[key()].total_n == 20


def test_epochs_keep_their_ordinals(store: SqliteStore) -> None:
    second = Epoch(digest="a0", route=ROUTE, attempt=1, trip=1, described="weight 5 %")
    elsewhere = Epoch(digest="e1", route="other", attempt=1, trip=0, described="")
    for sequence, epoch in enumerate([EPOCH, elsewhere, second, EPOCH], start=1):
        store.flush(batch(sequence, epoch=epoch))
    assert list(store.epochs(ROUTE)) == [EPOCH, second]


def test_evidence_of_an_unknown_epoch_waits_until_it_is_known(
    store: SqliteStore,
) -> None:
    orphan = batch(1, cells={key(): cell([1])})
    orphan.epochs.clear()
    store.flush(orphan)
    assert store.evidence(ROUTE, attempt=1, trip=0).cells == {}
    store.flush(batch(2))
    assert store.evidence(ROUTE, attempt=1, trip=0).cells[key()].total_n == 1


def test_exclusions_are_counted_since_the_trip(store: SqliteStore) -> None:
    store.flush(batch(1, excluded={(ROUTE, "static"): 3}))
    store.put_latch(Latch(route=ROUTE, trip=2, held=True))
    store.flush(batch(2, excluded={(ROUTE, "killed"): 4}))
    assert store.evidence(ROUTE, attempt=1, trip=0).excluded == {
        "static": 3,
        "killed": 4,
    }
    assert store.evidence(ROUTE, attempt=1, trip=2).excluded == {"killed": 4}


def test_those_exposed_are_sampled_by_one_limit_that_costs_no_event(
    store: SqliteStore,
) -> None:
    numbers = random.Random(1)  # noqa: S311 - not a secret
    control = {numbers.getrandbits(64) for _ in range(3000)}
    candidate = set(list(control)[:600])
    rare = key("error")
    for sequence, subjects in enumerate(
        [{key(variant="control"): control}, {key(): candidate}, {rare: candidate}],
        start=1,
    ):
        store.flush(batch(sequence, subjects=subjects))
    evidence = store.evidence(ROUTE, attempt=1, trip=0)
    limit = 2**64 // 4
    assert evidence.subjects == {
        key(variant="control"): sum(each < limit for each in control),
        key(): sum(each < limit for each in candidate),
        rare: len(candidate),
    }
    assert (evidence.sampled, evidence.events_sampled) == (1 / 4, 1)


def test_those_with_an_event_are_sampled_on_their_own(store: SqliteStore) -> None:
    numbers = random.Random(1)  # noqa: S311 - not a secret
    failed = {numbers.getrandbits(64) for _ in range(3000)}
    store.flush(batch(1, subjects={key("error"): failed, key(): {1, 2}}))
    store.flush(batch(2, subjects={key("error"): failed, key(): {1, 3}}))
    evidence = store.evidence(ROUTE, attempt=1, trip=0)
    kept = sum(each < 2**64 // 4 for each in failed)
    assert evidence.subjects == {key("error"): kept, key(): 3}
    assert (evidence.sampled, evidence.events_sampled) == (1, 1 / 4)


def test_a_sample_of_one_attempt_leaves_others_whole(store: SqliteStore) -> None:
    later = Epoch(digest="e2", route=ROUTE, attempt=2, trip=0, described="")
    store.flush(batch(1, subjects={key(): set(range(0, 2**64, 2**53))}))
    store.flush(batch(2, epoch=later, subjects={key(epoch=later): {2**64 - 1}}))
    assert store.evidence(ROUTE, attempt=1, trip=0).subjects == {key(): 512}
    assert store.evidence(ROUTE, attempt=2, trip=0).subjects == {key(epoch=later): 1}


def test_a_spread_that_is_not_finite_does_not_stop_the_flushes(
    store: SqliteStore,
) -> None:
    endless = cell([1e200, -1e200])
    endless.xx = float("nan")
    store.flush(batch(cells={key(): endless}))
    assert store.evidence(ROUTE, attempt=1, trip=0).cells[key()].xx == float("inf")
