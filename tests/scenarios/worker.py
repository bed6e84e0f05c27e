"""A process of an application that does what its tests write to it, line by line.

Run as `worker.py CONFIG`. Each line read is a command and its arguments as JSON,
each line written its answer. The end of the input ends the process without
stopping the router, as an application may end.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from apps import App
from flipback import Reason
from projects import FLAG, Project


DEADLINE_S = 20.0


class Worker:
    """The commands."""

    def __init__(self, config: str) -> None:
        path = Path(config)
        self.app = App(
            Project(path=path.parent, config=path, flags=path.parent / f"{FLAG}.json")
        )

    def serve(self, calls: int, start: int) -> dict[str, int]:
        """Serve calls to users that no other worker has; return who answered."""
        self.app._users = start  # noqa: SLF001 - our own helper
        return dict(self.app.serve(calls))

    def flush(self) -> bool:
        return self.app.router.flush()

    def look(self) -> list[float]:
        """Return when a look began that flips back, and when it was done."""
        began = time.monotonic()
        (look,) = self.app.router.guard.look()
        assert look.kill is not None
        return [began, time.monotonic()]

    def await_reason(self, *reasons: str) -> float:
        """Return when the next call is served for one of these reasons."""
        end = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while self.app.reason() not in reasons:
            if time.monotonic() > end:
                raise TimeoutError(self.app.reason())
            pause.wait(0.001)
        return time.monotonic()

    def reason(self) -> str:
        return self.app.reason()

    def threads(self) -> list[str]:
        return sorted(t.name for t in threading.enumerate() if "flipback" in t.name)

    def serve_for_ever(self) -> None:
        """Say how far it will serve, serve, flush, and say that it has."""
        served = 0
        while True:
            say(["will", served + 10])
            self.app.serve(10)
            served += 10
            if self.app.router.flush():
                say(["flushed", served])

    def fork(self, calls: int) -> list[object]:
        """Serve calls in a forked child, which then waits for a kill."""
        reader, writer = os.pipe()
        until_reaped, self.leash = os.pipe()
        self.child = os.fork()
        if not self.child:
            os.close(self.leash)
            self.run_child(writer, until_reaped, calls)
        os.close(writer)
        os.close(until_reaped)
        self.pipe = os.fdopen(reader)
        return [self.child, json.loads(self.pipe.readline())]

    def reap(self) -> list[object]:
        """Let the child end; return what it said last, and how it ended."""
        os.close(self.leash)
        said = json.loads(self.pipe.readline())
        self.pipe.close()
        return [said, os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])]

    def run_child(self, pipe: int, until_reaped: int, calls: int) -> None:
        code = 1
        try:
            self.app._users += 100_000  # noqa: SLF001 - our own helper
            self.app.serve(calls)
            flushed = self.app.router.flush()
            os.write(pipe, f"{json.dumps([flushed, self.threads()])}\n".encode())
            obeyed = self.await_reason(Reason.KILLED)
            os.read(until_reaped, 1)
            self.app.router.stop()
            os.write(pipe, f"{json.dumps(obeyed)}\n".encode())
            code = 0
        finally:
            os._exit(code)

    def stop(self) -> None:
        self.app.router.stop()


def say(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def main() -> None:
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        act: Callable[..., object] = getattr(worker, name)
        say(act(*arguments))


if __name__ == "__main__":
    main()
