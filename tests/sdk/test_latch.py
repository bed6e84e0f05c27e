from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.latch import Latch, Scope, merge_all, scope_of


NEVER = Latch(route="r")
LATCHES = st.builds(
    Latch,
    route=st.just("r"),
    trip=st.integers(0, 4),
    held=st.booleans(),
    reason=st.sampled_from(["", "a", "b"]),
)
STEPS = st.lists(st.tuples(st.sampled_from(["kill", "release"]), st.integers(0, 4)))


def kill(latch: Latch, intent: str = "i") -> Latch:
    return latch.killed(reason="why", actor="who", intent=intent, at="now")


def release(latch: Latch, trip: int) -> Latch:
    return latch.released(trip, reason="fixed", actor="ada", at="later")


def merged(copies: Iterable[Latch]) -> tuple[int, bool]:
    return merge_all("r", copies).order


def test_a_route_that_was_never_killed_is_free() -> None:
    assert merge_all("r", []) == NEVER
    assert (NEVER.trip, NEVER.held) == (0, False)


def test_a_kill_raises_the_trip_and_holds() -> None:
    assert kill(NEVER) == Latch(
        route="r", trip=1, held=True, reason="why", actor="who", intent="i", at="now"
    )


def test_the_same_intent_is_one_trip_and_another_is_another() -> None:
    once = kill(NEVER)
    assert kill(once) is once
    assert kill(once, "j").trip == 2


def test_the_intent_of_a_released_trip_trips_no_more() -> None:
    """A retry that arrives after the release is still the old kill."""
    freed = release(kill(NEVER), 1)
    assert kill(freed) is freed


def test_a_kill_without_an_intent_is_always_a_new_one() -> None:
    once = kill(NEVER, "")
    assert once.trip == 1
    assert kill(once, "").trip == 2
    again = kill(release(once, 1), "")
    assert (again.trip, again.held) == (2, True)


def test_a_release_frees_exactly_its_trip() -> None:
    held = kill(kill(NEVER), "j")
    for trip in (0, 1, 3):
        assert release(held, trip) is held
    freed = release(held, 2)
    assert (freed.trip, freed.held, freed.reason, freed.actor) == (
        2,
        False,
        "fixed",
        "ada",
    )
    assert (freed.intent, freed.at) == ("j", "later")
    assert release(freed, 2) is freed


def test_the_order_is_that_of_the_rules() -> None:
    first = kill(NEVER)
    second = kill(release(first, 1), "j")
    history = [NEVER, first, release(first, 1), second, release(second, 2)]
    assert sorted(history, key=lambda latch: latch.order) == history
    assert len({latch.order for latch in history}) == 5


@given(st.lists(LATCHES, max_size=4))
def test_copies_merge_in_any_order_and_as_often_as_they_come(
    copies: list[Latch],
) -> None:
    expected = merged(copies)
    for order in permutations(copies):
        assert merged([*order, *order]) == expected


@given(LATCHES, LATCHES, LATCHES)
def test_merging_is_associative_and_commutes_to_the_last_word(
    one: Latch, two: Latch, three: Latch
) -> None:
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(two) == two.merge(one)
    assert one.merge(replace(one)) is one
    assert one.merge(two) in (one, two)


def test_of_two_kills_of_one_trip_the_later_is_told() -> None:
    """Two hosts that could not see each other have both made trip 1."""
    one = NEVER.killed(reason="slow", actor="ada", intent="i", at="2026-01-01T00:00:01")
    two = NEVER.killed(reason="odd", actor="bob", intent="h", at="2026-01-01T00:00:02")
    assert one.merge(two) is two
    assert two.merge(one) is two
    assert merge_all("r", [two, one]) is two
    freed = release(one, 1)
    assert two.merge(freed) == replace(two, trip=2)


@pytest.mark.parametrize("word", ["at", "intent", "actor", "reason"])
def test_copies_agree_on_every_word(word: str) -> None:
    one, two = kill(NEVER), replace(kill(NEVER), **{word: "zz"})
    assert one.merge(two) is two
    assert two.merge(one) is two


@given(STEPS)
def test_whatever_happens_the_latch_only_grows(steps: list[tuple[str, int]]) -> None:
    history = [NEVER]
    for number, (act, trip) in enumerate(steps):
        latch = history[-1]
        after = kill(latch, str(number)) if act == "kill" else release(latch, trip)
        history.append(after)
    assert all(a.order <= b.order for a, b in pairwise(history))
    assert reduce(Latch.merge, history) == history[-1]


@given(LATCHES, LATCHES)
def test_no_copy_that_is_behind_frees_a_kill(latch: Latch, behind: Latch) -> None:
    held = kill(latch, "new")
    if behind.trip < held.trip:
        assert held.merge(behind) is held
        assert behind.merge(held) is held


def test_a_release_frees_no_other_kill_that_was_given_the_same_number() -> None:
    """Two hosts that could not see each other have both made trip 1."""
    never = Latch(route="support")
    mine = never.killed(reason="a", actor="ada", intent="mine", at="1")
    yours = never.killed(reason="b", actor="bob", intent="yours", at="2")
    freed = yours.released(1, reason="fixed", actor="bob", at="3")
    for met in (mine.merge(freed), freed.merge(mine)):
        assert (met.trip, met.held, met.intent) == (2, True, "mine")
        assert met.merge(mine) == met
        assert met.merge(freed) == met


def test_a_copy_of_a_kill_is_freed_by_its_own_release() -> None:
    killed = Latch(route="support").killed(reason="", actor="", intent="i", at="")
    freed = killed.released(1, reason="", actor="", at="")
    assert killed.merge(freed) == freed.merge(killed) == freed


@pytest.mark.parametrize("mine", ["", "i"])
def test_a_kill_without_an_intent_is_freed_by_the_release_of_its_trip(
    mine: str,
) -> None:
    """Earlier versions, and people who write rows by hand, have none."""
    held = replace(NEVER, trip=1, held=True, intent=mine)
    freed = replace(NEVER, trip=1, intent="" if mine else "i")
    assert held.merge(freed) is freed
    assert freed.merge(held) is freed


@pytest.mark.parametrize("name", ["support[plan=free", "support]", "support"])
def test_a_name_without_both_brackets_is_a_route(name: str) -> None:
    assert scope_of(name) == Scope(name, "")
