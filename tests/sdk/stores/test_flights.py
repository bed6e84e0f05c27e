from collections.abc import Iterator
from pathlib import Path

import pytest

from flipback.assignment import Assignment, Reason, Role
from flipback.stores import Flights, LostCall, lost_calls
from flipback.stores import _flights as module


ROUTE = "support"
PATH = "host-1-a.flights"


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
    assert module.UNTRACKED not in slots
    assert flights.enter(ROUTE, assigned(0)) == module.UNTRACKED
    flights.leave(module.UNTRACKED)
    flights.leave(slots[7])
    assert flights.enter(ROUTE, assigned(0)) == slots[7]


def test_groups_beyond_their_room_go_untracked_and_never_under_anothers_name(
    flights: Flights, tmp_path: Path
) -> None:
    epochs = [f"{number:0200d}" for number in range(300)]
    slots = [flights.enter(ROUTE, assigned(n, epoch=e)) for n, e in enumerate(epochs)]
    assert module.UNTRACKED in slots
    lost = died(flights, tmp_path)
    assert lost is not None
    assert [call.epoch for call in sorted(lost, key=lambda c: c.decision_id)] == epochs[
        : len(lost)
    ]
    assert len(lost) == len(slots) - slots.count(module.UNTRACKED)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 1000])
def test_a_file_that_is_none_of_ours_is_no_call(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / PATH
    path.write_bytes(content)
    assert lost_calls(path) == ()


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert lost_calls(tmp_path / PATH) is None
