import threading

import pytest

from flipback.control import Repeater
from troubles import PATIENCE_S


class Step:
    """Counts how often it is taken, and fails if it should."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken = threading.Semaphore(0)
        self.error = error

    def __call__(self) -> None:
        self.taken.release()
        if self.error is not None:
            raise self.error


def repeater(step: Step, failures: list[Exception], period_s: float) -> Repeater:
    return Repeater("test", step, period_s=period_s, failed=failures.append)


def test_a_step_is_taken_at_once_and_whenever_it_is_woken() -> None:
    step = Step()
    running = repeater(step, [], period_s=3600)
    running.start()
    for _ in range(3):
        assert step.taken.acquire(timeout=PATIENCE_S)
        running.wake()
    running.stop()


def test_a_step_is_repeated_though_it_fails() -> None:
    failures: list[Exception] = []
    running = repeater(Step(ValueError("no")), failures, period_s=0.001)
    running.start()
    for _ in range(3):
        assert running._step.taken.acquire(timeout=PATIENCE_S)  # type: ignore[attr-defined]  # noqa: SLF001
    running.stop()
    assert {str(error) for error in failures} == {"no"}


@pytest.mark.parametrize("started", [True, False])
def test_a_stopped_repeater_has_no_thread(started: bool) -> None:  # noqa: FBT001
    running = repeater(Step(), [], period_s=0.001)
    if started:
        running.start()
    running.stop()
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_a_step_that_hangs_does_not_hold_up_its_stop() -> None:
    begun, over = threading.Event(), threading.Event()

    def step() -> None:
        begun.set()
        over.wait()

    running = Repeater("test", step, period_s=3600, failed=lambda _: None)
    running.start()
    assert begun.wait(PATIENCE_S)
    running.stop(timeout_s=0.01)
    assert running._thread.daemon  # noqa: SLF001
    over.set()
    running._thread.join(PATIENCE_S)  # noqa: SLF001
    assert not running._thread.is_alive()  # noqa: SLF001


def test_a_step_may_stop_its_own_repeater() -> None:
    done = threading.Event()

    def step() -> None:
        running.stop()
        done.set()

    running = Repeater("test", step, period_s=3600, failed=lambda _: None)
    running.start()
    assert done.wait(PATIENCE_S)
    running._thread.join(PATIENCE_S)  # noqa: SLF001
    assert not running._thread.is_alive()  # noqa: SLF001
