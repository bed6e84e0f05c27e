import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from flipback.routing import Workers
from troubles import PATIENCE_S, until


@dataclass(slots=True)
class Firm:
    """Workers, whether they are wanted, and what they failed at."""

    wanted: bool = True
    failures: list[BaseException] = field(default_factory=list[BaseException])
    hired: list[Workers] = field(default_factory=list[Workers])

    def hire(self, *, threads: int = 1, queue: int = 4) -> Workers:
        workers = Workers(
            threads=threads,
            queue=queue,
            wanted=lambda: self.wanted,
            failed=self.failures.append,
        )
        self.hired.append(workers)
        return workers


@pytest.fixture
def firm() -> Iterator[Firm]:
    firm = Firm()
    yield firm
    for workers in firm.hired:
        workers.stop()


class Held:
    """A job that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.let_go.wait(PATIENCE_S)


def at_work() -> int:
    return sum(each.name == "flipback-shadow" for each in threading.enumerate())


def test_threads_are_there_only_while_they_are_wanted(firm: Firm) -> None:
    workers = firm.hire(threads=3)
    assert at_work() == 0
    for _ in range(2):
        workers.tend()
        assert at_work() == 3
    firm.wanted = False
    workers.tend()
    assert until(lambda: at_work() == 0)
    firm.wanted = True
    workers.tend()
    assert at_work() == 3


def test_a_full_queue_refuses_and_nobody_waits(firm: Firm) -> None:
    workers = firm.hire(queue=2)
    assert [workers.offer(Held()) for _ in range(3)] == [True, True, False]


def test_what_a_job_raises_ends_no_thread(firm: Firm) -> None:
    workers, done = firm.hire(), threading.Event()
    workers.offer(lambda: 1 / 0)
    workers.offer(sys.exit)
    workers.offer(done.set)
    workers.tend()
    assert done.wait(PATIENCE_S)
    kinds = [type(error) for error in firm.failures]
    assert kinds == [ZeroDivisionError, SystemExit]


def test_who_is_told_of_a_failure_may_fail_as_well() -> None:
    def broken(_: BaseException) -> None:
        raise RuntimeError

    done = threading.Event()
    workers = Workers(threads=1, queue=2, wanted=lambda: True, failed=broken)
    workers.offer(lambda: 1 / 0)
    workers.offer(done.set)
    workers.tend()
    assert done.wait(PATIENCE_S)
    workers.stop()


def test_what_waits_is_dropped_once_nobody_wants_it(firm: Firm) -> None:
    workers, held, ran = firm.hire(), Held(), list[int]()
    workers.offer(held)
    workers.offer(lambda: ran.append(1))
    workers.tend()
    assert held.begun.wait(PATIENCE_S)
    firm.wanted = False
    workers.tend()
    held.let_go.set()
    assert until(lambda: at_work() == 0)
    assert ran == []


def test_what_waits_without_threads_is_dropped_as_well(firm: Firm) -> None:
    workers, ran = firm.hire(), list[int]()
    workers.offer(lambda: ran.append(1))
    firm.wanted = False
    workers.tend()
    firm.wanted = True
    workers.tend()
    workers.stop()
    assert ran == []


def test_a_stop_waits_for_the_job_under_way_and_lets_nobody_in(firm: Firm) -> None:
    workers, held = firm.hire(), Held()
    workers.offer(held)
    workers.tend()
    assert held.begun.wait(PATIENCE_S)
    firm.wanted = False
    workers.tend()  # its thread belongs to a queue that is over already
    threading.Timer(0.0, held.let_go.set).start()
    workers.stop()
    assert at_work() == 0
    firm.wanted = True
    workers.tend()
    assert not workers.offer(held)
    assert at_work() == 0


def test_a_stop_does_not_wait_for_ever(firm: Firm) -> None:
    workers, held = firm.hire(), Held()
    workers.offer(held)
    workers.tend()
    assert held.begun.wait(PATIENCE_S)
    workers.stop(timeout_s=0.0)
    assert at_work() == 1
    held.let_go.set()


def test_a_job_may_stop_its_workers(firm: Firm) -> None:
    workers = firm.hire()
    workers.offer(workers.stop)
    workers.tend()
    assert until(lambda: at_work() == 0)
    assert firm.failures == []


def test_a_stopped_one_stays_stopped_in_a_child(firm: Firm) -> None:
    workers = firm.hire()
    workers.stop()
    workers.after_fork()
    assert not workers.offer(Held())


def test_nothing_is_kept_of_a_job_that_is_done(firm: Firm) -> None:
    workers, held = firm.hire(), Held()
    held.let_go.set()
    known = weakref.ref(held)
    workers.offer(held)
    workers.tend()
    del held
    assert until(lambda: known() is None)


def test_a_machine_without_threads_is_told_and_tried_again(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = firm.hire()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        workers.tend()
    assert [type(error) for error in firm.failures] == [RuntimeError]
    workers.tend()
    assert at_work() == 1
