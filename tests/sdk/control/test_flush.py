from collections.abc import Callable, Iterator

import pytest

from flipback.assignment import EVERYBODY, Assignment, Reason, Role
from flipback.control import Flusher, Shares, SystemClock
from flipback.exposure import EXPOSURE, Epoch
from flipback.routing import Faults, Recorder
from projects import ROUTE, Project
from troubles import Control, InterruptedStore


Build = Callable[..., Control]
EPOCH = Epoch(digest="e1", route=ROUTE, attempt=1, trip=0, described="a test")


class Process:
    """What one process counts, and its way to the store."""

    def __init__(self, control: Control, writer: str) -> None:
        self.store = control.ground.store
        self.faults = Faults()
        self.recorder = Recorder(
            writer=writer,
            plans=control.ground.plans,
            due=lambda _: None,
            clock=SystemClock(),
        )
        shares = Shares({}, None, self.faults)
        self.flusher = Flusher(self.recorder, self.store, self.faults, shares)

    def expose(self, times: int) -> None:
        self.recorder.opened(EPOCH)
        for number in range(times):
            self.recorder.expose(ROUTE, assignment(subject=number))

    @property
    def stored(self) -> int:
        found = self.store.evidence(ROUTE, attempt=1, trip=0).cells.items()
        return sum(
            cell.total_n
            for key, cell in found
            if key.metric == EXPOSURE and key.cohort == EVERYBODY
        )


def assignment(subject: int) -> Assignment:
    return Assignment(
        variant="v2",
        role=Role.CANDIDATE,
        flag_key="f",
        flag_version="1",
        rule="1",
        randomized=True,
        reason=Reason.SPLIT,
        provider="p",
        epoch=EPOCH.digest,
        attempt=1,
        stage=0,
        cohorts=("plan=free",),
        subject=subject,
        decision_id=f"{subject:016x}",
    )


@pytest.fixture
def store(folder: Project) -> Iterator[InterruptedStore]:
    opened = InterruptedStore(folder.store, SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def process(control: Build, store: InterruptedStore) -> Process:
    return Process(control(store=store), "w1")


def test_nothing_counted_is_nothing_written(
    process: Process, store: InterruptedStore
) -> None:
    assert process.flusher.flush()
    assert store.batches == []


def test_evidence_waits_while_the_store_is_down_and_comes_exactly_once(
    process: Process, store: InterruptedStore
) -> None:
    store.down = True
    for _ in range(3):
        process.expose(10)
        assert not process.flusher.flush()
    store.down = False
    assert process.stored == 0
    process.expose(10)
    assert process.flusher.flush()
    assert process.flusher.flush()
    assert process.stored == 40
    assert process.faults.counts() == {("*", "evidence waits in memory"): 3}


def test_evidence_whose_receipt_was_lost_is_counted_once(
    process: Process, store: InterruptedStore
) -> None:
    store.lossy = True
    process.expose(10)
    assert not process.flusher.flush()
    assert not process.flusher.flush()
    store.lossy = False
    process.expose(1)
    assert process.flusher.flush()
    assert process.stored == 11
    assert store.batches == [1, 1, 1, 2]


def test_a_forked_child_flushes_nothing_of_its_parent(
    control: Build, store: InterruptedStore
) -> None:
    bench = control(store=store)
    parent, child = Process(bench, "parent"), Process(bench, "parent")
    store.down = True
    for each in (parent, child):
        each.expose(10)
        each.flusher.flush()
        each.expose(5)
    store.down = False
    child.recorder.after_fork("child")
    child.flusher.after_fork()
    child.expose(1)
    assert child.flusher.flush()
    assert parent.flusher.flush()
    assert parent.stored == 16
