import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from flipback.errors import LedgerError
from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, LedgerNote
from flipback.stores import FileLedger, verify
from flipback.testing import FakeClock


ROUTE = "support-reply"
AT = "2026-01-01T00:00:00Z"
KB = 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path: Path) -> FileLedger:
    return open_at(path)


def open_at(path: Path) -> FileLedger:
    return FileLedger(path, FakeClock())


def kill(ledger: FileLedger, intent: str = "i1") -> Latch:
    return ledger.kill(
        ROUTE,
        intent=Intent(id=intent, actor="ada", reason="broken"),
        at=AT,
        floor=Latch(route=ROUTE),
    )


def note(ledger: FileLedger, text: str) -> None:
    ledger.note(LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, text=text, at=AT))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().rstrip(b"\n").split(b"\n")


def rewrite(path: Path, kept: list[bytes]) -> None:
    path.write_bytes(b"\n".join(kept) + b"\n" * 100)


def refusal(path: Path) -> str:
    with pytest.raises(LedgerError) as refused:
        open_at(path).latches()
    return str(refused.value)


def test_looking_creates_no_file(path: Path, ledger: FileLedger) -> None:
    assert not ledger.entries()
    assert not path.exists()


def test_any_reader_of_json_lines_can_read_it(path: Path, ledger: FileLedger) -> None:
    kill(ledger)
    written = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [(line["number"], line["latch"]["trip"]) for line in written] == [(1, 1)]


def test_room_for_the_next_kill_is_written_ahead(
    path: Path, ledger: FileLedger
) -> None:
    for number in range(200):
        note(ledger, f"{number}" * 200)
        used = len(path.read_bytes().rstrip(b"\n")) + 1
        assert 16 * KB <= path.stat().st_size - used <= 64 * KB
    assert len(open_at(path).entries()) == 200


def test_a_line_longer_than_the_room_fits(path: Path, ledger: FileLedger) -> None:
    note(ledger, "x" * 200 * KB)
    kill(ledger)
    assert [len(entry.note) for entry in open_at(path).entries()] == [200 * KB, 6]


OLD_LINES = (
    '{"at":"2026-01-01T00:00:00Z","digest":'
    '"0515f8bfd25298a0ee4216fcfd58475789a1e545adb80a192661199d1354a18d","kind":"kill",'
    '"latch":{"actor":"ada","at":"2026-01-01T00:00:00Z","held":true,"intent":"i1",'
    '"reason":"größer","route":"support-reply","trip":1},"note":"größer","number":1,'
    '"previous":"","route":"support-reply"}\n'
)


def test_lines_of_the_version_before_still_match_their_digest(
    path: Path, ledger: FileLedger
) -> None:
    path.write_text(OLD_LINES)
    assert kill(ledger, "i2").trip == 2
    first, second = open_at(path).entries()
    assert (first.note, first.findings, first.actor) == ("größer", (), "")
    assert second.previous == first.digest
    assert not verify(ledger.survey().entries, [first, second])


def test_a_kill_on_many_long_findings_fits_into_the_room_ahead(
    path: Path, ledger: FileLedger
) -> None:
    findings = tuple(f'{number} "größer"\n\x00' * 1000 for number in range(100))
    reason = "\x00größer" * 10_000
    intent = Intent(id="i1", actor="ada", reason=reason, findings=findings)
    latch = ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE))
    (entry,) = ledger.entries()
    (line,) = lines(path)
    assert len(line) < 16 * KB
    assert entry.latch == latch
    assert latch.reason.startswith("\x00größer")
    assert latch.reason.endswith("…")
    assert entry.findings[-1].startswith("and ")


def test_a_kill_on_few_findings_keeps_them_whole(ledger: FileLedger) -> None:
    findings = tuple(f"error of plan=p{number} is too high" for number in range(19))
    for count in (0, 1, 19):
        intent = Intent(
            id=f"{count}", actor="ada", reason="r", findings=findings[:count]
        )
        ledger.kill(ROUTE, intent=intent, at=AT, floor=Latch(route=ROUTE))
    assert [entry.findings for entry in ledger.entries()] == [
        (),
        findings[:1],
        findings,
    ]


def test_a_snapshot_leaves_room_for_the_next_kill(
    path: Path, ledger: FileLedger
) -> None:
    ledger.prepare()
    ledger.note(
        LedgerNote(
            kind=EntryKind.FLAG_WRITE,
            route=ROUTE,
            at=AT,
            text="",
            snapshot="x" * 60_000,
        )
    )
    used = len(path.read_bytes().rstrip(b"\n")) + 1
    assert path.stat().st_size - used >= 16 * KB


def test_words_that_are_no_unicode_do_not_stop_a_kill(ledger: FileLedger) -> None:
    kill(ledger, intent="\udcff")
    assert ledger.latches()[ROUTE].held


@pytest.mark.parametrize("length", [1, 40, 100, 150, 250])
def test_a_torn_append_is_skipped_and_repaired(
    path: Path, ledger: FileLedger, length: int
) -> None:
    kill(ledger)
    end = path.read_bytes().rstrip(b"\n") + b"\n"
    kill(ledger, "i2")
    torn = lines(path)[1][:length]
    path.write_bytes(end + torn + b"\n" * KB)
    assert ledger.latches()[ROUTE].trip == 1
    assert kill(open_at(path), "i3").trip == 2
    assert [entry.number for entry in ledger.entries()] == [1, 2]
    assert len(lines(path)) == 2


def test_a_torn_append_of_which_only_the_end_was_written_is_repaired(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    note(ledger, "x" * 9 * KB)
    first, second = lines(path)
    middle = b"\n" * 4 * KB + second[4 * KB : 6 * KB] + b"\n" * KB + second[7 * KB :]
    path.write_bytes(first + b"\n" + middle + b"\n" * KB)
    assert [entry.number for entry in ledger.entries()] == [1]
    note(ledger, "again")
    assert len(lines(path)) == 2


def test_a_torn_first_append_leaves_an_empty_ledger(
    path: Path, ledger: FileLedger
) -> None:
    path.write_bytes(b'{"at":"2026')
    assert not ledger.entries()
    assert kill(ledger).trip == 1


def test_an_edited_line_is_found(path: Path, ledger: FileLedger) -> None:
    for intent in ("i1", "i2", "i3"):
        kill(ledger, intent)
    edited = [line.replace(b'"actor":"ada"', b'"actor":"bob"') for line in lines(path)]
    for place in range(3):
        rewrite(path, [*lines(path)[:place], edited[place], *lines(path)[place + 1 :]])
        assert f"{path}:{place + 1} does not match its digest" in refusal(path)
        rewrite(path, [line.replace(b"bob", b"ada") for line in lines(path)])


def test_a_line_taken_out_is_found(path: Path, ledger: FileLedger) -> None:
    for intent in ("i1", "i2", "i3"):
        kill(ledger, intent)
    first, _, third = lines(path)
    rewrite(path, [first, third])
    assert f"{path}:2 does not follow the line before" in refusal(path)


def test_lines_in_another_order_are_found(path: Path, ledger: FileLedger) -> None:
    for intent in ("i1", "i2"):
        kill(ledger, intent)
    rewrite(path, lines(path)[::-1])
    assert f"{path}:1 does not follow the line before" in refusal(path)


def test_a_broken_line_before_good_ones_is_no_torn_append(
    path: Path, ledger: FileLedger
) -> None:
    for intent in ("i1", "i2"):
        kill(ledger, intent)
    rewrite(path, [lines(path)[0][:40], lines(path)[1]])
    assert f"{path}:1 is no ledger entry" in refusal(path)


def test_nothing_is_appended_to_a_ledger_that_was_edited(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    rewrite(path, [lines(path)[0].replace(b"broken", b"sound!")])
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="does not match its digest"):
        kill(ledger, "i2")
    assert path.read_bytes() == before


def test_a_line_with_fields_of_a_later_version_is_read(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    fields = json.loads(lines(path)[0])
    del fields["digest"]
    fields["later"] = [1]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    fields["digest"] = hashlib.sha256(canonical).hexdigest()
    rewrite(path, [json.dumps(fields).encode()])
    assert kill(open_at(path), "i2").trip == 2


def test_an_entry_of_an_unknown_kind_asks_for_an_upgrade(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    fields = json.loads(lines(path)[0]) | {"kind": "later"}
    del fields["digest"]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    fields["digest"] = hashlib.sha256(canonical).hexdigest()
    rewrite(path, [json.dumps(fields).encode()])
    assert f"{path}:1 was written by a later version" in refusal(path)


def test_a_look_at_an_unchanged_file_reads_nothing(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    assert ledger.latches() is ledger.latches()
    kill(open_at(path), "i2")
    assert ledger.latches()[ROUTE].trip == 2


def test_a_ledger_that_was_moved_away_starts_anew(
    path: Path, ledger: FileLedger
) -> None:
    kill(ledger)
    path.rename(path.with_suffix(".old"))
    assert ledger.latches() == {}
    assert kill(ledger, "i2").trip == 1


class Hasty(FakeClock):
    """A clock that gains a second at every look."""

    @override
    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


def test_a_ledger_that_stays_locked_is_read_but_not_waited_for(path: Path) -> None:
    ledger = FileLedger(path, Hasty())
    kill(ledger)
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(LedgerError, match="locked by another process for 5 s"):
            kill(ledger, "i2")
        assert ledger.latches()[ROUTE].trip == 1
    assert kill(ledger, "i2").trip == 2


class Replacing(FakeClock):
    """A clock at whose first look the ledger is replaced by an empty one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @override
    def monotonic(self) -> float:
        old = self._path.with_suffix(".old")
        if not old.exists():
            self._path.rename(old)
            self._path.touch()
        return super().monotonic()


def test_a_kill_is_in_the_file_that_took_the_ledgers_place_meanwhile(
    path: Path,
) -> None:
    assert kill(FileLedger(path, Replacing(path))).trip == 1
    assert [entry.number for entry in open_at(path).entries()] == [1]
    assert path.with_suffix(".old").read_bytes() == b""


APPENDS: dict[str, Callable[[FileLedger], object]] = {
    "kill": lambda ledger: kill(ledger, "written"),
    "note": lambda ledger: note(ledger, "written"),
    "release": lambda ledger: ledger.release(
        Latch(route=ROUTE, trip=9, held=False, reason="written")
    ),
}


@pytest.mark.parametrize("append", APPENDS.values(), ids=APPENDS)
def test_what_is_appended_is_on_the_disk_before_the_call_returns(
    path: Path,
    ledger: FileLedger,
    append: Callable[[FileLedger], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger.prepare()
    kill(ledger)
    synced: list[bytes] = []
    sync = os.fsync

    def watched(file: int) -> None:
        if os.path.samestat(os.fstat(file), path.stat()):
            synced.append(path.read_bytes())
        sync(file)

    monkeypatch.setattr(os, "fsync", watched)
    append(ledger)
    assert synced == [path.read_bytes()]
    assert b'"written"' in synced[0]


def test_the_name_of_a_new_ledger_is_on_the_disk_with_its_first_entry(
    path: Path, ledger: FileLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    sync = os.fsync

    def watched(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        sync(file)

    monkeypatch.setattr(os, "fsync", watched)
    kill(ledger)
    assert synced == {path.stat().st_ino, path.parent.stat().st_ino}


def test_nobody_else_may_read_a_new_ledger(path: Path, ledger: FileLedger) -> None:
    kill(ledger)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "ledger.jsonl"
    assert refusal(path) == (
        f"{path} cannot be read, its folder does not exist; create {path.parent}"
    )
    with pytest.raises(LedgerError, match="cannot be written, its folder"):
        kill(open_at(path))


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "its folder does not exist" in refusal(tmp_path / "file" / "ledger.jsonl")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder; name a file in it")
