"""What every outbox promises, as tests."""

import threading
from dataclasses import replace

from flipback.ports import Notice, Store
from flipback.testing.clock import FakeClock


NOTICE = Notice(
    id="trip 3 of support-reply, 0",
    target=0,
    event="trip",
    route="support-reply",
    at=100.0,
    body='{"why": "größer"}',
    next_at=100.0,
)
LONG_S = 90 * 86_400.0


class OutboxContract:
    """Tests of an `Outbox`; fixtures as in `StoreContract`."""

    def test_a_notice_is_posted_once_however_often(
        self, store: Store, other: Store
    ) -> None:
        """Every process of a host wants to tell the same."""
        assert store.post(NOTICE)
        assert not other.post(replace(NOTICE, body="{}", at=5.0))
        assert not store.post(NOTICE)
        assert list(other.due(now=100)) == [NOTICE]

    def test_what_is_settled_is_not_posted_again(
        self, store: Store, other: Store
    ) -> None:
        """A process that starts later finds the same trip."""
        store.post(NOTICE)
        store.settle(NOTICE.id, retry_at=None)
        assert not other.post(NOTICE)
        assert not other.due(now=1e9)

    def test_of_those_who_post_at_once_one_is_first(
        self, store: Store, other: Store
    ) -> None:
        """He alone is told that it was new."""
        start = threading.Barrier(2)
        firsts: list[bool] = []

        def post(into: Store) -> None:
            start.wait()
            firsts.extend(
                into.post(replace(NOTICE, id=f"n{number}")) for number in range(20)
            )

        threads = [threading.Thread(target=post, args=(s,)) for s in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sum(firsts), len(store.due(now=100))) == (20, 20)

    def test_what_is_due_comes_oldest_first(self, store: Store) -> None:
        """And nothing before its time."""
        for name, at in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
            store.post(replace(NOTICE, id=name, at=at, next_at=50.0))
        store.post(replace(NOTICE, id="later", at=1.0, next_at=51.0))
        assert not store.due(now=49.0)
        assert [each.id for each in store.due(now=50.0)] == ["a", "b", "c"]

    def test_a_failure_is_counted_and_waits_for_its_next_try(
        self, store: Store, other: Store
    ) -> None:
        """For every process that tries."""
        store.post(NOTICE)
        store.settle(NOTICE.id, retry_at=130.0)
        assert not other.due(now=129.0)
        assert list(other.due(now=130.0)) == [
            replace(NOTICE, attempts=1, next_at=130.0)
        ]

    def test_a_late_failure_does_not_unsettle(self, store: Store, other: Store) -> None:
        """Two processes may have tried at once."""
        store.post(NOTICE)
        store.settle(NOTICE.id, retry_at=None)
        other.settle(NOTICE.id, retry_at=200.0)
        other.settle("unheard of", retry_at=None)
        assert not store.due(now=1e9)

    def test_a_thorough_pruning_forgets_what_was_settled_before(
        self, store: Store, clock: FakeClock
    ) -> None:
        """Nothing that is still to be told."""
        now = clock.now().timestamp()
        for name in ("told", "to be told"):
            store.post(replace(NOTICE, id=name))
        store.settle("told", retry_at=None)
        clock.advance(LONG_S)
        store.post(replace(NOTICE, id="told lately"))
        store.settle("told lately", retry_at=None)
        assert store.prune(before=now + 1).notices == 0
        assert store.prune(before=now + 1, thorough=True).notices == 1
        assert not store.post(replace(NOTICE, id="told lately"))
        assert [each.id for each in store.due(now=1e9)] == ["to be told"]
