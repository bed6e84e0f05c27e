"""The latch in the ledgers of two hosts, with crashes in the middle of a line."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flipback.latch import Latch
from flipback.ports import Intent
from flipback.stores import FileLedger
from flipback.testing import FakeClock


ROUTE = "answer"
HOSTS = st.integers(0, 1)


class Ledgers(RuleBasedStateMachine):
    """Two ledgers in files; a process that crashes leaves part of a line."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.paths = [Path(self.folder.name, f"{host}.jsonl") for host in (0, 1)]
        self.trips: dict[tuple[int, str], int] = {}
        self.orders = [(0, True), (0, True)]
        self.moment = 0

    def ledger(self, host: int) -> FileLedger:
        """Return the ledger as a process that has just started opens it."""
        return FileLedger(self.paths[host], FakeClock())

    def latch(self, host: int) -> Latch:
        return self.ledger(host).latches().get(ROUTE, Latch(route=ROUTE))

    @rule(host=HOSTS, intent=st.sampled_from("abc"))
    def kill(self, host: int, intent: str) -> None:
        """Kill, or send a kill once more of which the answer was lost."""
        latch = self.ledger(host).kill(
            ROUTE,
            intent=Intent(id=intent, actor="ada", reason="r"),
            at=self._now(),
            floor=Latch(route=ROUTE),
        )
        assert self.trips.setdefault((host, intent), latch.trip) == latch.trip

    @rule(host=HOSTS, trip=st.integers(0, 3))
    def release(self, host: int, trip: int) -> None:
        before = self.latch(host)
        ledger = self.ledger(host)
        ledger.release(before.released(trip, reason="ok", actor="bob", at=self._now()))
        assert self.latch(host).held is (before.held and before.trip != trip)

    @rule(host=HOSTS, kept=st.integers(1, 60))
    def crash_in_the_middle_of_a_line(self, host: int, kept: int) -> None:
        """Write part of the last line again behind the end, as a torn append does."""
        written = self.paths[host].read_bytes() if self.paths[host].exists() else b""
        lines = written.rstrip(b"\n").splitlines(keepends=True)
        if not lines:
            return
        end = len(b"".join(lines).rstrip(b"\n")) + 1
        with self.paths[host].open("r+b") as file:
            file.seek(end)
            file.write(lines[-1].rstrip(b"\n")[:kept])

    @rule(source=HOSTS)
    def take_up_what_the_other_says(self, source: int) -> None:
        other, mine = self.latch(source), self.latch(1 - source)
        if other.order > mine.order and other.held:
            self.ledger(1 - source).kill(
                ROUTE,
                intent=Intent(id=other.intent, actor=other.actor, reason=other.reason),
                at=other.at,
                floor=other,
            )
        self.ledger(1 - source).release(other)

    @invariant()
    def no_trip_ever_falls(self) -> None:
        for host in (0, 1):
            order = self.latch(host).order
            assert order >= self.orders[host]
            self.orders[host] = order

    @invariant()
    def every_ledger_can_be_read_and_its_chain_is_whole(self) -> None:
        for host in (0, 1):
            entries = self.ledger(host).entries()
            numbers = [entry.number for entry in entries]
            assert numbers == list(range(1, len(entries) + 1))

    def teardown(self) -> None:
        self.folder.cleanup()

    def _now(self) -> str:
        self.moment += 1
        return f"{self.moment:06}"


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(max_examples=15, stateful_step_count=15)
