"""What every ledger promises, as tests."""

from flipback.latch import Latch
from flipback.ports import EntryKind, Intent, Ledger, LedgerNote


ROUTE = "support-reply"
NEVER_KILLED = Latch(route=ROUTE)
AT = "2026-01-01T00:00:00Z"


class LedgerContract:
    """Tests of a `Ledger`, to be inherited by a test class of each implementation.

    The module or class that inherits it provides two pytest fixtures: `ledger`,
    which is empty, and `again`, the same ledger as another process would open it.
    """

    def test_a_new_ledger_is_empty(self, ledger: Ledger) -> None:
        """The empty case is no error."""
        assert list(ledger.entries()) == []
        assert ledger.latches() == {}

    def test_a_ledger_is_new_once(self, ledger: Ledger, again: Ledger) -> None:
        """So that a host without any history can say so."""
        assert ledger.prepare()
        assert not again.prepare()
        assert list(again.entries()) == []

    def test_every_process_sees_a_kill(self, ledger: Ledger, again: Ledger) -> None:
        """Also one that had looked before."""
        assert again.latches() == {}
        latch = ledger.kill(ROUTE, intent=_intent("i1"), at=AT, floor=NEVER_KILLED)
        assert latch == Latch(
            route=ROUTE,
            trip=1,
            held=True,
            reason="it is broken",
            actor="ada",
            intent="i1",
            at=AT,
        )
        assert again.latches() == {ROUTE: latch}

    def test_the_same_intent_is_one_trip(self, ledger: Ledger, again: Ledger) -> None:
        """A kill is retried until it is known to have happened."""
        first = ledger.kill(ROUTE, intent=_intent("i1"), at=AT, floor=NEVER_KILLED)
        other = ledger.kill(ROUTE, intent=_intent("i2"), at=AT, floor=NEVER_KILLED)
        retried = again.kill(ROUTE, intent=_intent("i1"), at=AT, floor=NEVER_KILLED)
        assert retried == first
        assert (first.trip, other.trip, len(ledger.entries())) == (1, 2, 2)

    def test_one_intent_may_kill_several_routes(self, ledger: Ledger) -> None:
        """As everything is killed at once."""
        for route in ("one", "two"):
            floor = Latch(route=route)
            ledger.kill(route, intent=_intent("i1"), at=AT, floor=floor)
        assert {each.trip for each in ledger.latches().values()} == {1}
        assert len(ledger.latches()) == 2

    def test_a_kill_surpasses_what_the_caller_knows(self, ledger: Ledger) -> None:
        """The ledger may have missed kills that the store has."""
        floor = Latch(route=ROUTE, trip=6, held=True, intent="i6")
        latch = ledger.kill(ROUTE, intent=_intent("i7"), at=AT, floor=floor)
        assert (latch.trip, latch.held) == (7, True)

    def test_a_kill_that_could_not_be_written_keeps_its_trip(
        self, ledger: Ledger
    ) -> None:
        """It was in force already when it is finally written."""
        floor = NEVER_KILLED.killed(reason="r", actor="ada", intent="i1", at=AT)
        assert (
            ledger.kill(ROUTE, intent=_intent("i1"), at=AT, floor=floor),
            ledger.latches(),
        ) == (floor, {ROUTE: floor})

    def test_a_release_frees_its_own_trip_only(
        self, ledger: Ledger, again: Ledger
    ) -> None:
        """A stale release changes nothing and adds no entry."""
        first = ledger.kill(ROUTE, intent=_intent("i1"), at=AT, floor=NEVER_KILLED)
        stale = first.released(1, reason="fixed", actor="bob", at=AT)
        ledger.kill(ROUTE, intent=_intent("i2"), at=AT, floor=first)
        again.release(stale)
        assert ledger.latches()[ROUTE].held
        held = ledger.latches()[ROUTE]
        again.release(held.released(2, reason="fixed", actor="bob", at=AT))
        assert not ledger.latches()[ROUTE].held
        assert [entry.kind for entry in ledger.entries()] == [
            EntryKind.KILL,
            EntryKind.KILL,
            EntryKind.RELEASE,
        ]

    def test_notes_are_kept_in_order(self, ledger: Ledger, again: Ledger) -> None:
        """Whatever they say, in any script and on any number of lines."""
        texts = ["weight 1 %\nweight 5 %", "größer", "", '{"latch": null}']
        for text in texts:
            ledger.note(_note(EntryKind.FLAG_WRITE, text))
        assert [entry.note for entry in again.entries()] == texts
        assert [entry.number for entry in again.entries()] == [1, 2, 3, 4]
        assert again.latches() == {}

    def test_each_entry_names_the_one_before(self, ledger: Ledger) -> None:
        """So that nothing can be taken out or put in between."""
        for text in ("a", "b", "c"):
            ledger.note(_note(EntryKind.EPOCH, text))
        entries = ledger.entries()
        digests = [entry.digest for entry in entries]
        assert [entry.previous for entry in entries] == ["", *digests[:-1]]
        assert len(set(digests)) == 3


def _intent(name: str) -> Intent:
    return Intent(id=name, actor="ada", reason="it is broken")


def _note(kind: EntryKind, text: str) -> LedgerNote:
    return LedgerNote(kind=kind, route=ROUTE, text=text, at=AT)
