"""What every store of ledger copies promises, as tests."""

import threading
from dataclasses import replace

from flipback.latch import Latch
from flipback.ports import EntryKind, LedgerEntry, Store


LEDGER = "host:/srv/flipback.ledger.jsonl"
KILLED = Latch(route="support-reply", trip=1, held=True, reason="größer", actor="ada")


def entry(number: int, *, note: str = "größer\nthan before") -> LedgerEntry:
    """Return an entry of this number with something in every field."""
    return LedgerEntry(
        number=number,
        kind=EntryKind.KILL,
        at="2026-01-01T00:00:00Z",
        route="support-reply",
        latch=KILLED,
        note=note,
        previous=f"d{number - 1}",
        digest=f"d{number}",
        actor="ada",
        attempt=2,
        stage=3,
        before="v1",
        after="v2",
        findings=("errors doubled", "so did latency"),
        snapshot='{"split": {"control": 90}}',
    )


class MirrorContract:
    """Tests of a `LedgerMirror`; fixtures as in `StoreContract`."""

    def test_a_copy_is_the_entry(self, store: Store, other: Store) -> None:
        """With all its fields, for every process."""
        bare = LedgerEntry(
            number=2,
            kind=EntryKind.EPOCH,
            at="",
            route="support-reply",
            latch=None,
            note="",
            previous="d1",
            digest="d2",
        )
        store.mirror(LEDGER, [entry(1), bare])
        assert tuple(other.mirrored(LEDGER)) == (entry(1), bare)

    def test_copies_after_a_number_come_in_order(self, store: Store) -> None:
        """However they came."""
        for number in (3, 1, 2):
            store.mirror(LEDGER, [entry(number)])
        found = store.mirrored(LEDGER, after=1)
        assert [each.number for each in found] == [2, 3]
        assert not store.mirrored(LEDGER, after=3)

    def test_a_copy_is_never_overwritten(self, store: Store, other: Store) -> None:
        """Whoever edits the ledger cannot edit its copy by it."""
        store.mirror(LEDGER, [entry(1)])
        other.mirror(LEDGER, [entry(1, note="nothing happened"), entry(2)])
        assert tuple(store.mirrored(LEDGER)) == (entry(1), entry(2))

    def test_ledgers_are_kept_apart(self, store: Store, other: Store) -> None:
        """Each host has one of its own."""
        assert not store.ledgers()
        store.mirror("b:/x", [entry(1)])
        other.mirror("a:/x", [entry(1), entry(2)])
        store.mirror("c:/x", [])
        assert tuple(store.ledgers()) == ("a:/x", "b:/x")
        assert len(store.mirrored("b:/x")) == 1
        assert not store.mirrored("c:/x")

    def test_two_who_copy_the_same_at_once_make_one_copy(
        self, store: Store, other: Store
    ) -> None:
        """All processes of a host copy its ledger."""
        entries = [entry(number) for number in range(1, 51)]
        start = threading.Barrier(2)

        def copy(into: Store) -> None:
            start.wait()
            for till in range(5, 51, 5):
                into.mirror(LEDGER, entries[max(0, till - 20) : till])

        threads = [threading.Thread(target=copy, args=(s,)) for s in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(store.mirrored(LEDGER)) == entries

    def test_words_that_are_no_unicode_are_kept_as_far_as_they_are(
        self, store: Store
    ) -> None:
        """As a terminal may pass them; they must not stop the copying."""
        store.mirror(LEDGER, [replace(entry(1), note="a\udcffb")])
        (copy,) = store.mirrored(LEDGER)
        assert copy.note == "a?b"
