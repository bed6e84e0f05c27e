"""A few threads and a bounded queue, there only while somebody wants them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress


STOP_TIMEOUT_S = 5.0
"""How long to wait for jobs under way, which nobody can interrupt."""

Job = Callable[[], object]


class _Shift:
    """Threads that stand at one queue until it is over; it never opens again."""

    __slots__ = ("changed", "jobs", "over", "threads")

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: deque[Job] = deque()
        self.over = False
        self.threads: list[threading.Thread] = []

    def offer(self, job: Job, *, most: int) -> bool:
        with self.changed:
            if self.over or len(self.jobs) >= most:
                return False
            self.jobs.append(job)
            self.changed.notify()
        return True

    def take(self) -> Job | None:
        """Wait for a job; None once the shift is over, whatever is left."""
        with self.changed:
            while not (self.jobs or self.over):
                self.changed.wait()
            return None if self.over else self.jobs.popleft()

    def end(self) -> None:
        """Let go of what waits: nobody may want it any more."""
        with self.changed:
            self.over = True
            self.jobs.clear()
            self.changed.notify_all()


class Workers:
    """Do jobs aside, in daemon threads that are there only while they are wanted.

    Whoever offers a job never waits and never starts a thread; `tend`, called again
    and again by a thread of its own, does.
    """

    def __init__(
        self,
        *,
        threads: int,
        queue: int,
        wanted: Callable[[], bool],
        failed: Callable[[BaseException], object],
    ) -> None:
        """Start nothing yet.

        Args:
            threads: How many jobs are done at a time.
            queue: How many wait at most.
            wanted: Whether there is to be a queue now.
            failed: Gets what a job raised; the thread goes on.
        """
        self._threads = threads
        self._most = queue
        self._wanted = wanted
        self._failed = failed
        self._stopped = False
        self.after_fork()

    def after_fork(self) -> None:
        """Forget threads and jobs, which belong to the parent."""
        self._lock = threading.Lock()
        self._shift = _Shift()
        self._shift.over = self._stopped
        self._leaving: list[threading.Thread] = []

    def offer(self, job: Job) -> bool:
        """Queue a job; False if the queue is full or there is none any more."""
        return self._shift.offer(job, most=self._most)

    def tend(self) -> None:
        """Start the threads as they become wanted, and end them, with their queue."""
        if self._wanted():
            self._open()
        else:
            self._close()

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Drop what waits, and wait for what is under way, but not for ever."""
        self._stopped = True
        self._close()
        end = time.monotonic() + timeout_s
        for thread in self._leaving:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _open(self) -> None:
        with self._lock:
            shift = self._shift
            missing = 0 if self._stopped else self._threads - len(shift.threads)
            try:
                for _ in range(missing):
                    shift.threads.append(self._started(shift))
            except RuntimeError as error:  # there are no more threads, for now
                self._failed(error)

    def _started(self, shift: _Shift) -> threading.Thread:
        thread = threading.Thread(
            target=self._work, args=(shift,), name="flipback-shadow", daemon=True
        )
        thread.start()
        return thread

    def _close(self) -> None:
        """End the shift; once stopped, there is no other."""
        with self._lock:
            ended = self._shift
            if not (ended.threads or ended.jobs or self._stopped):
                return
            ended.end()
            leaving = [*self._leaving, *ended.threads]
            self._leaving = [thread for thread in leaving if thread.is_alive()]
            if not self._stopped:
                self._shift = _Shift()

    def _work(self, shift: _Shift) -> None:
        while (job := shift.take()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - the next one may succeed
                with suppress(Exception):
                    self._failed(error)
            # What it held, such as arguments of the application, is not needed.
            del job
