"""A really full file system: needs the right to mount a small one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from apps import App, operator
from flipback import Reason
from flipback.errors import LedgerError, StoreError
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, LedgerNote
from flipback.stores import FileLedger, SqliteStore
from flipback.testing import FakeClock
from flipback.testing.evidence import ROUTE, batch, cell, key
from flipback.testing.mirror import LEDGER, entry
from flipback.testing.outbox import NOTICE
from projects import ROUTE as PLANNED
from projects import create_project
from troubles import until


AT = "2026-01-01T00:00:00Z"


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:  # noqa: S603
        pytest.skip("may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # noqa: S603, S607


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path) as disk:
        yield disk


@pytest.fixture
def small_disk_beside(tmp_path: Path) -> Iterator[Path]:
    """Return a small disk on which nothing else of the test is."""
    place = tmp_path / "disk"
    place.mkdir()
    with mounted(place) as disk:
        yield disk


def fill(disk: Path) -> None:
    with suppress(OSError), Path(disk, "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)


def test_kills_fit_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "ledger.jsonl"
    ledger = FileLedger(path, FakeClock())
    ledger.prepare()
    fill(small_disk)
    for number in range(50):
        intent = Intent(id=f"i{number}", actor="ada", reason="broken")
        ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE))
    assert FileLedger(path, FakeClock()).latches()[ROUTE].trip == 50
    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.note(
            LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, text="x" * 100_000, at=AT)
        )
    assert FileLedger(path, FakeClock()).latches()[ROUTE].trip == 50


def test_a_flush_to_a_full_disk_is_refused_and_can_be_retried(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "x.db", clock=FakeClock())
    fill(small_disk)
    cells = {key(f"m{number}"): cell([1]) for number in range(200)}
    with pytest.raises(StoreError, match="cannot grow, the disk is full"):
        store.flush(batch(cells=cells))
    (small_disk / "filler").unlink()
    assert store.flush(batch(cells=cells))
    assert len(store.evidence(ROUTE, attempt=1, trip=0).cells) == 200
    store.close()


def test_a_snapshot_leaves_room_for_kills_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "ledger.jsonl"
    ledger = FileLedger(path, FakeClock())
    ledger.prepare()
    fill(small_disk)
    note = LedgerNote(kind=EntryKind.FLAG_WRITE, route=ROUTE, text="", at=AT)
    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.note(replace(note, snapshot="x" * 60_000))
    findings = tuple("errors doubled " * 100 for _ in range(50))
    intent = Intent(id="i1", actor="ada", reason="broken " * 1000, findings=findings)
    assert ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE)).trip == 1
    assert FileLedger(path, FakeClock()).latches()[ROUTE].held


def test_copies_and_notices_on_a_full_disk_are_refused_whole(small_disk: Path) -> None:
    with closing(SqliteStore(small_disk / "x.db", clock=FakeClock())) as store:
        store.mirror(LEDGER, [entry(1)])
        fill(small_disk)
        entries = [replace(entry(n), snapshot="x" * 10_000) for n in range(1, 100)]
        with pytest.raises(StoreError, match="cannot grow, the disk is full"):
            store.mirror(LEDGER, entries)
        with pytest.raises(StoreError, match="cannot grow, the disk is full"):
            store.post(replace(NOTICE, body="x" * 500_000))
        assert (tuple(store.mirrored(LEDGER)), store.due(now=1e9)) == ((entry(1),), ())
        (small_disk / "filler").unlink()
        store.mirror(LEDGER, entries[:20])
        assert store.post(NOTICE)
        assert len(store.mirrored(LEDGER)) == 20


def test_a_trip_on_a_full_disk_is_obeyed_and_delivered(
    tmp_path: Path, small_disk_beside: Path
) -> None:
    folder = create_project(
        tmp_path / "project",
        guard={"run": "thread"},
        store=f"sqlite:{small_disk_beside}/flipback.db",
        ledger=f"{small_disk_beside}/flipback.ledger.jsonl",
    )
    with App(folder, fails=False) as app:
        app.serve(50)
        fill(small_disk_beside)
        with operator(folder) as person:
            (report,) = person.kill([PLANNED], reason="bad", actor="ada", wait_s=5)
        assert report.durable
        assert until(lambda: app.reason() is Reason.KILLED)
        assert until(lambda: '"targeting": {}' in folder.flags.read_text())
    ledger = FileLedger(small_disk_beside / "flipback.ledger.jsonl", FakeClock())
    kills = [e for e in ledger.entries() if e.kind is EntryKind.KILL]
    assert [kill.latch and kill.latch.trip for kill in kills] == [1]
    with App(folder, fails=False) as fresh:
        assert fresh.reason() is Reason.KILLED
