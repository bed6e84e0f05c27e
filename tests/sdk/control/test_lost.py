"""What the ledger tells of rollouts that the store does not know any more."""

import pytest

from flipback.control._lost import after_lost, lost
from flipback.ports import EntryKind, LedgerEntry
from flipback.rollout import RolloutRecord


UNKNOWN = RolloutRecord(route="support")


def history(*kinds: EntryKind, route: str = "support") -> list[LedgerEntry]:
    """Return entries of these kinds, each START with the next attempt."""
    starts = 0
    entries: list[LedgerEntry] = []
    for number, kind in enumerate(kinds, 1):
        starts += kind is EntryKind.START
        entries.append(
            LedgerEntry(
                number=number,
                kind=kind,
                at=f"day {number}",
                route=route,
                latch=None,
                note="",
                previous="",
                digest="",
                attempt=starts,
            )
        )
    return entries


def test_an_attempt_that_the_ledger_has_open_is_lost_where_the_store_has_none() -> None:
    entries = history(EntryKind.START, EntryKind.ADVANCE)
    text = lost(UNKNOWN, entries)
    assert "attempt 1 under way since day 1" in text
    assert text.endswith("flipback start support")
    assert not lost(RolloutRecord(route="support", revision=1), entries)


@pytest.mark.parametrize("end", [EntryKind.KILL, EntryKind.FINISH])
def test_an_attempt_that_is_over_is_not_lost(end: EntryKind) -> None:
    assert not lost(UNKNOWN, history(EntryKind.START, end))
    assert lost(UNKNOWN, history(EntryKind.START, end, EntryKind.START))


def test_the_kill_of_a_cohort_ends_no_attempt() -> None:
    killed = history(EntryKind.KILL, route="support[plan=free]")
    assert lost(UNKNOWN, [*history(EntryKind.START), *killed])


def test_a_new_attempt_is_numbered_after_all_that_the_ledger_has() -> None:
    entries = history(
        EntryKind.START, EntryKind.FINISH, EntryKind.START, EntryKind.START
    )
    begun = RolloutRecord(route="support", revision=1, tries=1)
    after = after_lost(begun, UNKNOWN, entries)
    assert (after.attempt, after.tries) == (4, 3)
    old = RolloutRecord(route="support", revision=9, attempt=7, tries=2)
    after = after_lost(old, old, entries)
    assert (after.attempt, after.tries) == (7, 2)


def test_without_a_history_the_first_attempt_is_the_first() -> None:
    begun = RolloutRecord(route="support", revision=1, tries=1)
    assert after_lost(begun, UNKNOWN, history(EntryKind.RESTORE)) == begun
