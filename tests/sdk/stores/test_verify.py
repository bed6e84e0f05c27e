"""Whatever is done to a ledger file is found, alone or beside its copy."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, LedgerEntry, LedgerNote
from flipback.stores import FileLedger, survey, verify
from flipback.testing import FakeClock


ROUTE = "support-reply"
Lines = list[bytes]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    path = tmp_path_factory.mktemp("ledger") / "x.jsonl"
    ledger = FileLedger(path, FakeClock())
    for number in range(6):
        text = f"entry of number {number}"
        ledger.note(LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, at="", text=text))
    return path.read_bytes().rstrip(b"\n").split(b"\n")


@pytest.fixture(scope="module")
def entries(lines: Lines) -> tuple[LedgerEntry, ...]:
    return survey(joined(lines)).entries


def joined(lines: Lines) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def problems(lines: Lines, copies: tuple[LedgerEntry, ...] = ()) -> list[str]:
    found = survey(joined(lines))
    breaks = (*found.breaks, *verify(found.entries, copies))
    return [each.problem for each in breaks]


def forged(tmp_path: Path, count: int) -> Lines:
    ledger = FileLedger(tmp_path / "forged.jsonl", FakeClock())
    for _ in range(count):
        ledger.note(LedgerNote(kind=EntryKind.EPOCH, route=ROUTE, at="", text="fine"))
    return (tmp_path / "forged.jsonl").read_bytes().rstrip(b"\n").split(b"\n")


def test_a_whole_ledger_has_no_problem(
    lines: Lines, entries: tuple[LedgerEntry, ...]
) -> None:
    assert problems(lines, entries) == []
    assert problems(lines, entries[:3]) == []
    assert problems([]) == []


def test_a_torn_append_is_no_break(lines: Lines) -> None:
    assert problems([*lines, lines[0][:50]]) == []


TAMPERED: dict[str, tuple[Callable[[Lines], Lines], list[str]]] = {
    "edited": (
        lambda lines: [lines[0], lines[1].replace(b"number", b"nothing"), *lines[2:]],
        ["line 2 was changed", "entry 2 is missing in the ledger"],
    ),
    "taken out": (
        lambda lines: [lines[0], *lines[3:]],
        ["entries 2 to 3 are missing in the ledger"],
    ),
    "exchanged": (
        lambda lines: [lines[1], lines[0], *lines[2:]],
        [
            "entry 1 is missing in the ledger",
            "entry 1 stands behind entry 2",
        ],
    ),
    "overwritten": (
        lambda lines: [lines[0], b"so what", *lines[2:]],
        ["line 2 is no ledger entry", "entry 2 is missing in the ledger"],
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_done_to_a_ledger_is_named(how: str, lines: Lines) -> None:
    tamper, expected = TAMPERED[how]
    assert problems(tamper(lines)) == expected


def test_a_cut_end_is_found_beside_the_copy(
    lines: Lines, entries: tuple[LedgerEntry, ...]
) -> None:
    assert problems(lines[:4]) == []
    (problem,) = problems(lines[:4], entries)
    assert problem == (
        "the ledger is shorter than its copy in the store: it ends at entry 4, "
        "the copy at entry 6"
    )


def test_a_rewritten_chain_is_found_beside_the_copy(
    entries: tuple[LedgerEntry, ...], tmp_path: Path
) -> None:
    rewritten = forged(tmp_path, 6)
    assert problems(rewritten) == []
    assert problems(rewritten, entries) == [
        "the ledger differs from its copy in the store from entry 1 on"
    ]


def test_an_edited_copy_is_not_taken_for_an_edited_ledger(
    lines: Lines, entries: tuple[LedgerEntry, ...]
) -> None:
    edited = survey(joined([lines[0].replace(b"number", b"nothing")]))
    assert edited.entries == ()
    other = LedgerEntry(
        number=1,
        kind=EntryKind.EPOCH,
        at="",
        route=ROUTE,
        latch=None,
        note="nothing",
        previous="",
        digest=entries[0].digest,
    )
    assert problems(lines, (other, *entries[1:])) == [
        "the copy of entry 1 in the store was changed"
    ]
    assert problems(lines, (entries[0], *entries[2:])) == [
        "entry 2 is missing in the store"
    ]


@given(data=st.data())
def test_no_change_of_a_byte_goes_unseen(
    data: st.DataObject, lines: Lines, entries: tuple[LedgerEntry, ...]
) -> None:
    content = bytearray(joined(lines))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    found = survey(bytes(content))
    seen = bool(found.breaks or verify(found.entries, entries))
    assert seen or found.entries == entries


@given(kept=st.lists(st.integers(0, 5)))
def test_no_choice_of_lines_but_all_in_order_passes(
    kept: list[int], lines: Lines, entries: tuple[LedgerEntry, ...]
) -> None:
    whole = kept == list(range(6))
    assert (problems([lines[place] for place in kept], entries) == []) is whole


def test_a_broken_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    ledger = FileLedger(path, FakeClock())
    for name in ("i1", "i2", "i3"):
        intent = Intent(id=name, actor="ada", reason="broken")
        ledger.kill(ROUTE, intent=intent, at="", floor=Latch(route=ROUTE))
    path.write_bytes(path.read_bytes().replace(b'"i2"', b'"i9"'))
    found = FileLedger(path, FakeClock()).survey()
    assert [entry.number for entry in found.entries] == [1, 3]
    assert [each.number for each in found.breaks] == [2]
