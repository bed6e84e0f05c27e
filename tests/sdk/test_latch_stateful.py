"""Two replicas of a latch, and whatever can happen to what they tell each other.

Each has a ledger of its own, which outlives a crash, and a memory, which does not; a
store between them answers now and then. Messages are copies of latches: they stay in
the air, arrive twice, late, in any order, or never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from flipback.latch import Latch, merge_all, scope_of, scoped
from flipback.rollout import Phase, RolloutRecord, phase_of


NAMES = ("answer", scoped("answer", "plan=free"))
INTENTS = tuple(f"intent {number}" for number in range(4))


@dataclass(slots=True)
class Replica:
    """A host: what it wrote, and what its process knows."""

    ledger: list[Latch] = field(default_factory=list[Latch])
    memory: dict[str, Latch] = field(default_factory=dict[str, Latch])

    def latch(self, name: str) -> Latch:
        return self.memory.get(name, Latch(route=name))

    def take_up(self, latch: Latch) -> None:
        """Keep what somebody else says, in the ledger too where it says more."""
        merged = self.latch(latch.route).merge(latch)
        if merged.order > self.latch(latch.route).order:
            self.ledger.append(merged)
        self.memory[latch.route] = merged

    def killed_by(self, name: str, intent: str) -> Latch | None:
        mine = (each for each in self.ledger if each.route == name and each.held)
        return next((each for each in mine if each.intent == intent), None)

    def restart(self) -> None:
        """Begin anew with nothing but the ledger."""
        copies = {name: [x for x in self.ledger if x.route == name] for name in NAMES}
        self.memory = {name: merge_all(name, said) for name, said in copies.items()}


class Replicas(RuleBasedStateMachine):
    """Kills, releases, crashes and gossip, as they may come."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas = (Replica(), Replica())
        self.store: dict[str, Latch] = {}
        self.air: list[Latch] = []
        self.records: list[RolloutRecord] = []
        self.freed: set[tuple[str, int]] = set()
        self.trips: dict[tuple[str, str, int], int] = {}
        self.before: list[Mapping[str, tuple[int, bool]]] = [{}, {}]
        self.moment = 0

    @initialize()
    def an_attempt_is_under_way(self) -> None:
        self.records.append(RolloutRecord(route="answer", phase=Phase.CANARY))

    @rule(
        who=st.integers(0, 1),
        name=st.sampled_from(NAMES),
        intent=st.sampled_from(INTENTS),
        torn=st.booleans(),
    )
    def kill(self, who: int, name: str, intent: str, *, torn: bool) -> None:
        """Kill, by a retry too; a torn line is lost together with its process."""
        replica = self.replicas[who]
        known = replica.killed_by(name, intent)
        if known is None and torn:
            replica.restart()
            return
        if known is None:
            known = replica.latch(name).killed(
                reason="r", actor="ada", intent=intent, at=self._now()
            )
            replica.ledger.append(known)
        replica.take_up(known)
        assert self.trips.setdefault((name, intent, who), known.trip) == known.trip

    @rule(who=st.integers(0, 1), name=st.sampled_from(NAMES), trip=st.integers(0, 4))
    def release(self, who: int, name: str, trip: int) -> None:
        replica = self.replicas[who]
        before = replica.latch(name)
        after = before.released(trip, reason="ok", actor="bob", at=self._now())
        if after is not before:
            assert (before.trip, before.held) == (trip, True)
            self.freed.add((name, trip))
            replica.take_up(after)

    @rule(who=st.integers(0, 1))
    def crash(self, who: int) -> None:
        self.replicas[who].restart()

    @rule(who=st.integers(0, 1), name=st.sampled_from(NAMES))
    def gossip(self, who: int, name: str) -> None:
        self.air.append(self.replicas[who].latch(name))

    @precondition(lambda self: self.air)
    @rule(who=st.integers(0, 1), pick=st.integers(0, 1_000))
    def hear(self, who: int, pick: int) -> None:
        """Hear something that was said at any time; it may be heard again."""
        self.replicas[who].take_up(self.air[pick % len(self.air)])

    @rule(who=st.integers(0, 1))
    def meet_in_the_store(self, who: int) -> None:
        for name in NAMES:
            stored = self.store.get(name, Latch(route=name))
            merged = stored.merge(self.replicas[who].latch(name))
            self.store[name] = merged
            self.replicas[who].take_up(merged)

    @rule(who=st.integers(0, 1))
    def start(self, who: int) -> None:
        """Begin an attempt, as a person may once everything is released."""
        latch = self.replicas[who].latch("answer")
        if not latch.held:
            record = replace(
                self.records[-1], trip=latch.trip, attempt=len(self.records) + 1
            )
            self.records.append(record)

    @rule(pick=st.integers(0, 1_000))
    def a_zombie_writes(self, pick: int) -> None:
        """Write once more the record of a leader that slept through everything."""
        self.records.append(replace(self.records[pick % len(self.records)], why="late"))

    @invariant()
    def no_trip_ever_falls(self) -> None:
        for who, replica in enumerate(self.replicas):
            now = {name: replica.latch(name).order for name in NAMES}
            for name, order in self.before[who].items():
                assert now[name] >= order
            self.before[who] = now

    @invariant()
    def nobody_is_free_whose_own_trip_was_not_released(self) -> None:
        copies = [r.latch(name) for r in self.replicas for name in NAMES]
        for latch in [*copies, *self.store.values()]:
            if latch.trip and not latch.held:
                assert (latch.route, latch.trip) in self.freed

    @invariant()
    def no_record_outlives_a_kill_that_it_has_not_seen(self) -> None:
        for replica in self.replicas:
            latch = replica.latch("answer")
            for record in self.records:
                if latch.held or latch.trip > record.trip:
                    assert phase_of(record, latch) is Phase.ROLLED_BACK

    @invariant()
    def a_cohorts_latch_is_its_own(self) -> None:
        for replica in self.replicas:
            for name in NAMES:
                assert replica.latch(name).route == name

    def teardown(self) -> None:
        """Let everybody hear everything, in the order in which it comes: they agree."""
        held = {n: max(r.latch(n).order for r in self.replicas) for n in NAMES}
        for _ in range(2):
            for who in (0, 1):
                self.meet_in_the_store(who)
        one, other = self.replicas
        for name in NAMES:
            assert one.latch(name) == other.latch(name) == self.store[name]
            assert one.latch(name).order >= held[name]

    def _now(self) -> str:
        self.moment += 1
        return f"{self.moment:06}"


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=40, stateful_step_count=30)


def test_a_cohorts_latch_is_named_after_route_and_cohort() -> None:
    assert scoped("answer", "") == "answer"
    assert scope_of("answer") == ("answer", "")
    name = scoped("answer", "plan=[x]=y")
    assert name == "answer[plan=[x]=y]"
    assert scope_of(name) == ("answer", "plan=[x]=y")
