import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from typing_extensions import override

from flipback.control import Mirror
from flipback.errors import StoreError
from flipback.ports import EntryKind, LedgerEntry, LedgerNote
from flipback.routing import Faults
from flipback.stores import FileLedger, SqliteStore
from flipback.testing import FakeClock


NAME = "here:/srv/x.jsonl"


class Counting(SqliteStore):
    """A store that counts what it is asked to copy and to tell."""

    copied = 0
    told = 0

    @override
    def mirror(self, ledger: str, entries: Sequence[LedgerEntry]) -> None:
        self.copied += len(entries)
        super().mirror(ledger, entries)

    @override
    def mirrored(self, ledger: str, *, after: int = 0) -> Sequence[LedgerEntry]:
        found = super().mirrored(ledger, after=after)
        self.told += len(found)
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


@pytest.fixture
def ledger(path: Path) -> FileLedger:
    return FileLedger(path, FakeClock())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counting]:
    with closing(Counting(tmp_path / "x.db", clock=FakeClock())) as opened:
        yield opened


def note(ledger: FileLedger, text: str = "", *, times: int = 1) -> None:
    for _ in range(times):
        ledger.note(LedgerNote(kind=EntryKind.EPOCH, route="r", at="", text=text))


def test_entries_are_copied_as_they_come(ledger: FileLedger, store: Counting) -> None:
    mirror = Mirror(ledger, store, NAME, Faults())
    assert mirror.copy()
    for count in (1, 3):
        note(ledger, times=count)
        assert mirror.copy()
        assert list(store.mirrored(NAME)) == list(ledger.entries())


def test_where_nothing_is_new_one_row_is_read(
    ledger: FileLedger, store: Counting
) -> None:
    note(ledger, times=20)
    mirror = Mirror(ledger, store, NAME, Faults())
    mirror.copy()
    store.told = 0
    for _ in range(10):
        assert mirror.copy()
    assert (store.copied, store.told) == (20, 10)


def test_a_process_that_starts_copies_what_is_missing(
    ledger: FileLedger, store: Counting
) -> None:
    note(ledger, times=4)
    store.mirror(NAME, [ledger.entries()[0], ledger.entries()[2]])
    store.copied = 0
    assert Mirror(ledger, store, NAME, Faults()).copy()
    assert (store.copied, len(store.mirrored(NAME))) == (2, 4)


def test_what_another_process_copied_is_no_trouble(
    ledger: FileLedger, store: Counting
) -> None:
    mirrors = [Mirror(ledger, store, NAME, Faults()) for _ in range(2)]
    for _ in range(5):
        note(ledger, times=2)
        assert all(mirror.copy() for mirror in mirrors)
        mirrors.reverse()
    assert len(store.mirrored(NAME)) == 10


def test_a_store_that_lost_everything_is_given_it_again(
    ledger: FileLedger, store: Counting, tmp_path: Path
) -> None:
    note(ledger, times=3)
    mirror = Mirror(ledger, store, NAME, Faults())
    mirror.copy()
    for file in tmp_path.glob("x.db*"):
        file.unlink()
    assert mirror.copy()
    assert len(store.mirrored(NAME)) == 3


def test_a_shortened_ledger_is_told_once_and_changes_no_copy(
    ledger: FileLedger, store: Counting, path: Path
) -> None:
    faults = Faults()
    mirror = Mirror(ledger, store, NAME, faults)
    note(ledger, times=3)
    mirror.copy()
    copies = store.mirrored(NAME)
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    for _ in range(3):
        assert not mirror.copy()
    assert store.mirrored(NAME) == copies
    assert faults.counts() == {("*", "ledger and its copy disagree"): 1}
    (said,) = faults.details().values()
    assert "the ledger at /srv/x.jsonl is shorter than its copy in the store" in said


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_another_ledger_in_its_place_is_told_and_not_copied(
    ledger: FileLedger, store: Counting, path: Path, *, again: bool
) -> None:
    faults = Faults()
    mirror = Mirror(ledger, store, NAME, faults)
    note(ledger, times=3)
    mirror.copy()
    copies = store.mirrored(NAME)
    path.unlink()
    note(ledger, "forged", times=5)
    if again:
        mirror = Mirror(ledger, store, NAME, faults)
    assert not mirror.copy()
    assert store.mirrored(NAME) == copies
    (said,) = faults.details().values()
    assert "differs from its copy in the store from entry 1 on" in said


def test_a_ledger_that_is_mended_is_copied_again(
    ledger: FileLedger, store: Counting, path: Path
) -> None:
    mirror = Mirror(ledger, store, NAME, Faults())
    note(ledger, times=3)
    mirror.copy()
    whole = path.read_bytes()
    path.unlink()
    assert not mirror.copy()
    path.write_bytes(whole)
    note(ledger)
    assert mirror.copy()
    assert len(store.mirrored(NAME)) == 4


def test_a_store_or_ledger_that_fails_is_a_fault_and_no_error(
    ledger: FileLedger, store: Counting, path: Path
) -> None:
    faults = Faults()
    mirror = Mirror(ledger, store, NAME, faults)
    note(ledger)
    path.write_bytes(path.read_bytes().replace(b'"epoch"', b'"kill"'))
    assert not mirror.copy()
    store.close()
    assert not mirror.copy()
    assert faults.counts() == {("*", "ledger not copied to the store"): 2}


def test_a_full_store_loses_no_entry_that_was_copied(
    store: Counting, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON entries WHEN new.number = 600"
            " BEGIN SELECT raise(ABORT, 'no room'); END"
        )
    entries = [entry_of(number) for number in range(1, 701)]
    with pytest.raises(StoreError, match="no room"):
        store.mirror(NAME, entries)
    assert not store.mirrored(NAME)


def entry_of(number: int) -> LedgerEntry:
    return LedgerEntry(
        number=number,
        kind=EntryKind.EPOCH,
        at="",
        route="r",
        latch=None,
        note="",
        previous="",
        digest=str(number),
    )
