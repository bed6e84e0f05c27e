import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.assignment import Assignment, Reason, Role
from flipback.routing import UNTRACKED
from flipback.stores import Flights, LostCall, lost_calls
from flipback.stores import _flights as module


ROUTE = "support"
PATH = "host-1-a.flights"
AT = 1.7e9 + 0.5


def assigned(decision: int, *, epoch: str = "e") -> Assignment:
    return Assignment(
        variant="v2",
        role=Role.CANDIDATE,
        flag_key="f",
        flag_version="1",
        rule=None,
        randomized=True,
        reason=Reason.SPLIT,
        provider="p",
        epoch=epoch,
        attempt=1,
        stage=0,
        cohorts=("plan=free", "country=DE"),
        subject=2**64 - 1,
        decision_id=f"{decision:016x}",
        at=AT,
    )


@pytest.fixture
def flights(tmp_path: Path) -> Iterator[Flights]:
    log = Flights(tmp_path / "marks" / PATH)
    yield log
    log.abandon()


def died(flights: Flights, tmp_path: Path) -> tuple[LostCall, ...] | None:
    """Read the file as if its process had died: its lock is gone, its marks stay."""
    copy = tmp_path / "copy"
    copy.write_bytes(flights.path.read_bytes())
    return lost_calls(copy)


def test_a_call_in_flight_when_its_process_dies_is_found_with_all_it_needs(
    flights: Flights, tmp_path: Path
) -> None:
    flights.enter(ROUTE, assigned(5))
    assert died(flights, tmp_path) == (
        LostCall(
            route=ROUTE,
            attempt=1,
            epoch="e",
            rule="",
            variant="v2",
            cohorts=("plan=free", "country=DE"),
            subject=2**64 - 1,
            decision_id="0000000000000005",
            at=1.7e9,
        ),
    )


def test_a_call_that_ended_leaves_no_mark(flights: Flights, tmp_path: Path) -> None:
    slot = flights.enter(ROUTE, assigned(5))
    other = flights.enter(ROUTE, assigned(6))
    flights.leave(slot)
    lost = died(flights, tmp_path)
    assert lost is not None
    assert [call.decision_id for call in lost] == ["0000000000000006"]
    flights.leave(other)
    assert died(flights, tmp_path) == ()


def test_a_living_process_is_not_taken_for_dead(flights: Flights) -> None:
    flights.enter(ROUTE, assigned(5))
    assert lost_calls(flights.path) is None


def test_a_process_that_ends_in_good_order_leaves_no_file(tmp_path: Path) -> None:
    log = Flights(tmp_path / PATH)
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_more_calls_than_slots_go_untracked_and_slots_come_free_again(
    flights: Flights,
) -> None:
    slots = [flights.enter(ROUTE, assigned(n)) for n in range(module.SLOTS)]
    assert UNTRACKED not in slots
    assert flights.enter(ROUTE, assigned(0)) == UNTRACKED
    flights.leave(UNTRACKED)
    flights.leave(slots[7])
    assert flights.enter(ROUTE, assigned(0)) == slots[7]


def test_groups_beyond_their_room_go_untracked_and_never_under_anothers_name(
    flights: Flights, tmp_path: Path
) -> None:
    epochs = [f"{number:0200d}" for number in range(300)]
    slots = [flights.enter(ROUTE, assigned(n, epoch=e)) for n, e in enumerate(epochs)]
    assert UNTRACKED in slots
    lost = died(flights, tmp_path)
    assert lost is not None
    assert [call.epoch for call in sorted(lost, key=lambda c: c.decision_id)] == epochs[
        : len(lost)
    ]
    assert len(lost) == len(slots) - slots.count(UNTRACKED)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 1000])
def test_a_file_that_is_none_of_ours_is_no_call(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / PATH
    path.write_bytes(content)
    assert lost_calls(path) == ()


def garbled(flights: Flights, tmp_path: Path, old: bytes, new: bytes) -> list[str]:
    """Return the epochs that are still found after an edit of the file."""
    content = flights.path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    copy = tmp_path / "garbled"
    copy.write_bytes(content.replace(old, new))
    lost = lost_calls(copy)
    assert lost is not None
    return [call.epoch for call in lost]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"first"', b'"fir\r\xff"'),
        (b'"first"', b"[[[[[[["),
        (b'"first"', b"1234567"),
        (b'["support", 1, "first"', b'["support", -1,"first"'),
        (b'["support", 1, "first", "", "v2"', b'["",9223372036854775808,"","",""'),
        (b'["support", 1, "first"', b'["support", "1", "fir"'),
    ],
)
def test_a_group_that_cannot_be_read_is_left_out_alone(
    flights: Flights, tmp_path: Path, old: bytes, new: bytes
) -> None:
    flights.enter(ROUTE, assigned(1, epoch="first"))
    flights.enter(ROUTE, assigned(2, epoch="second"))
    assert garbled(flights, tmp_path, old, new) == ["second"]


def test_a_mark_of_a_group_that_is_not_there_is_left_out(
    flights: Flights, tmp_path: Path
) -> None:
    flights.enter(ROUTE, assigned(1, epoch="first"))
    flights.enter(ROUTE, assigned(2, epoch="second"))
    at = int(AT).to_bytes(4, "little")
    mark = (1).to_bytes(4, "little") + at + b"\xff" * 8
    assert garbled(flights, tmp_path, mark, b"\xff" * 16) == ["second"]


@given(
    cuts=st.lists(st.tuples(st.integers(0, 2**17), st.binary(max_size=64)), max_size=9),
    end=st.none() | st.integers(0, 2**17),
)
def test_a_garbled_or_torn_file_never_raises(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[tuple[int, bytes]],
    end: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("flights")
    log = Flights(folder / PATH)
    for number in range(4):
        log.enter(ROUTE, assigned(number, epoch=str(number % 2)))
    content = bytearray(log.path.read_bytes())
    log.close()
    groups_at = content.index(b"[")
    for place, garbage in cuts:
        for start in (place % len(content), groups_at + place % 200):
            content[start : start + len(garbage)] = garbage
    (folder / PATH).write_bytes(content[:end])
    lost = lost_calls(folder / PATH)
    assert lost is not None
    assert all(len(call.decision_id) == 16 for call in lost)


def test_a_file_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_file: int, _content: bytes, _at: int) -> int:
        return 100

    monkeypatch.setattr(os, "pwrite", torn)
    with pytest.raises(OSError, match="No space left"):
        Flights(tmp_path / PATH)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert lost_calls(tmp_path / PATH) is None


@pytest.mark.parametrize("failed", [False, True])
def test_a_shadow_answer_is_told_from_a_call_and_says_how_control_did(
    flights: Flights, tmp_path: Path, *, failed: bool
) -> None:
    flights.enter(ROUTE, assigned(1))
    flights.enter(ROUTE, assigned(2), control_failed=failed)
    flights.enter(ROUTE, assigned(3), control_failed=failed)
    lost = died(flights, tmp_path) or ()
    found = {call.decision_id[-1]: call.control_failed for call in lost}
    assert found == {"1": None, "2": failed, "3": failed}


def test_marks_of_a_version_without_shadows_are_calls(
    flights: Flights, tmp_path: Path
) -> None:
    flights.enter(ROUTE, assigned(1))
    content = flights.path.read_bytes()
    copy = tmp_path / "old"
    copy.write_bytes(content.replace(b", null]", b"]      "))
    assert copy.read_bytes() != content
    (call,) = lost_calls(copy) or ()
    assert call.control_failed is None
