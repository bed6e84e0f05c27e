"""What every store of latches, rollouts and processes promises, as tests."""

from flipback.latch import Latch
from flipback.ports import ProcessRecord, Store
from flipback.rollout import Phase, RolloutRecord
from flipback.testing.clock import FakeClock


ROUTE = "support-reply"
KILLED = Latch(
    route=ROUTE,
    trip=3,
    held=True,
    reason="errors doubled",
    actor="evaluator",
    intent="i3",
    at="2026-01-01T00:00:00Z",
)
RELEASED = KILLED.released(3, reason="fixed", actor="ada", at="2026-01-01T01:00:00Z")
TTL_S = 10.0


class StateContract:
    """Tests of `StateStore` and `ProcessRegistry`; fixtures as in `StoreContract`."""

    def test_every_process_sees_a_latch(self, store: Store, other: Store) -> None:
        """With all its words, for people."""
        assert other.latches() == {}
        assert store.put_latch(KILLED) == KILLED
        assert other.latches() == {ROUTE: KILLED}

    def test_an_old_release_frees_no_newer_kill(
        self, store: Store, other: Store
    ) -> None:
        """Copies of a latch may arrive late, twice and in any order."""
        newer = KILLED.killed(reason="again", actor="ada", intent="i4", at="")
        store.put_latch(newer)
        assert other.put_latch(RELEASED) == newer
        assert store.latches() == {ROUTE: newer}

    def test_a_release_of_the_latest_kill_holds(
        self, store: Store, other: Store
    ) -> None:
        """A copy of the kill that arrives after its release does not undo it."""
        store.put_latch(RELEASED)
        assert other.put_latch(KILLED) == RELEASED

    def test_a_route_that_never_rolled_out_has_revision_0(self, store: Store) -> None:
        """So the first record to be written has revision 1."""
        assert store.rollout(ROUTE) == RolloutRecord(route=ROUTE)

    def test_of_two_changes_to_one_revision_one_wins(
        self, store: Store, other: Store
    ) -> None:
        """Nobody overwrites what he has not read."""
        mine = RolloutRecord(route=ROUTE, revision=1, stage=1)
        yours = RolloutRecord(route=ROUTE, revision=1, stage=2)
        assert store.replace_rollout(mine, lease=None)
        assert not other.replace_rollout(yours, lease=None)
        assert other.rollout(ROUTE) == mine

    def test_a_revision_cannot_be_skipped(self, store: Store) -> None:
        """It would hide a change that somebody else has made."""
        ahead = RolloutRecord(route=ROUTE, revision=2)
        assert not store.replace_rollout(ahead, lease=None)

    def test_a_lease_has_one_holder_until_it_expires(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """The next holder has a greater fence."""
        first = store.acquire("ramp", holder="a", ttl_s=TTL_S)
        assert first is not None
        assert other.acquire("ramp", holder="b", ttl_s=TTL_S) is None
        clock.advance(TTL_S)
        second = other.acquire("ramp", holder="b", ttl_s=TTL_S)
        assert second is not None
        assert second.fence > first.fence

    def test_a_renewed_lease_lasts_longer_under_its_fence(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """A leader renews well before the end."""
        first = store.acquire("ramp", holder="a", ttl_s=TTL_S)
        clock.advance(TTL_S / 2)
        assert store.acquire("ramp", holder="a", ttl_s=TTL_S) == first
        clock.advance(TTL_S / 2)
        assert other.acquire("ramp", holder="b", ttl_s=TTL_S) is None

    def test_a_leader_that_was_superseded_writes_nothing(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """It may wake up long after, believing that it leads."""
        frozen = store.acquire("ramp", holder="a", ttl_s=TTL_S)
        clock.advance(TTL_S)
        leader = other.acquire("ramp", holder="b", ttl_s=TTL_S)
        record = RolloutRecord(route=ROUTE, revision=1)
        assert not store.replace_rollout(record, lease=frozen)
        assert other.replace_rollout(record, lease=leader)

    def test_leases_of_other_names_are_free(self, store: Store, other: Store) -> None:
        """Each rollout is led on its own."""
        assert store.acquire("one", holder="a", ttl_s=TTL_S) is not None
        assert other.acquire("two", holder="b", ttl_s=TTL_S) is not None

    def test_a_process_is_listed_until_it_leaves(
        self, store: Store, other: Store
    ) -> None:
        """With the kills that it obeys as of its last heartbeat."""
        store.beat(_process("a", seen_at=100))
        store.beat(_process("b", seen_at=100))
        store.beat(_process("a", seen_at=105, trips={ROUTE: 3}))
        assert list(other.processes(since=0)) == [
            _process("a", seen_at=105, trips={ROUTE: 3}),
            _process("b", seen_at=100),
        ]
        other.leave("a")
        other.leave("a")
        assert [process.id for process in store.processes(since=0)] == ["b"]

    def test_a_process_says_when_it_obeyed_and_in_which_drill(
        self, store: Store, other: Store
    ) -> None:
        """Times are kept to the microsecond: a drill measures by them."""
        drilled = ProcessRecord(
            id="a",
            host="here",
            pid=1,
            seen_at=100,
            trips={"a": 3, "a[plan=pro]": 1},
            obeyed_at={"a": 1_767_225_600.123456},
            drill="d1",
            serves=False,
            guards=True,
            leads=("a",),
        )
        store.beat(drilled)
        assert list(other.processes(since=0)) == [drilled]

    def test_all_records_can_be_read_at_once(self, store: Store, other: Store) -> None:
        """With everything that they have."""
        assert other.rollouts() == {}
        records = [
            RolloutRecord(
                route=route,
                revision=1,
                attempt=4,
                stage=2,
                phase=Phase.PAUSED,
                resumes=Phase.CANARY,
                trip=3,
                split={"v1": 90_000, "v2": 10_000},
                pending={"v1": 100_000},
                since=5.5,
                started=1.5,
                actor="ada",
                why="größer",
                plan="{}",
                version="1.2",
                tries=2,
            )
            for route in ("one", "two")
        ]
        for record in records:
            assert store.replace_rollout(record, lease=None)
        assert other.rollouts() == {record.route: record for record in records}
        assert other.rollout("two") == records[1]

    def test_a_silent_process_is_not_listed(self, store: Store) -> None:
        """It cannot acknowledge a kill."""
        store.beat(_process("a", seen_at=100))
        assert list(store.processes(since=100)) == []
        assert len(store.processes(since=99)) == 1

    def test_pruning_forgets_dead_processes(
        self, store: Store, clock: FakeClock
    ) -> None:
        """A crashed process never leaves."""
        now = clock.now().timestamp()
        store.beat(_process("dead", seen_at=now - 1))
        store.beat(_process("alive", seen_at=now))
        assert store.prune(before=now).processes == 1
        assert [process.id for process in store.processes(since=0)] == ["alive"]


def _process(
    name: str, *, seen_at: float, trips: dict[str, int] | None = None
) -> ProcessRecord:
    return ProcessRecord(
        id=name, host="here", pid=1, seen_at=seen_at, trips=trips or {}
    )
