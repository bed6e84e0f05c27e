"""Processes of an application, as their tests see them."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from projects import Project


TESTS = Path(__file__).parents[1]
PATIENCE_S = 30.0


class Worker:
    """One `tests/scenarios/worker.py`, spoken to over pipes."""

    def __init__(self, project: Project) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, TESTS / "scenarios" / "worker.py", project.config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a buffer of ours would hide lines from select
            env={**os.environ, "PYTHONPATH": str(TESTS / "plugins")},
        )
        self._read = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, command: str, *arguments: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps([command, *arguments])}\n".encode())

    def answer(self) -> Any:  # noqa: ANN401 - each command has an answer of its own
        """Return the next line, or fail with what the process complained of."""
        assert self.process.stdout is not None
        while b"\n" not in self._read:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
            more = self.process.stdout.read(1 << 16) if ready else b""
            if not more:
                self.process.kill()
                said = self.process.communicate()[1].decode()
                raise AssertionError(f"no answer: {said}")
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)

    def ask(self, command: str, *arguments: object) -> Any:  # noqa: ANN401 - as above
        self.tell(command, *arguments)
        return self.answer()

    def end(self) -> str:
        """End it as an application ends; return what it complained of."""
        said = self.process.communicate(timeout=PATIENCE_S)[1]
        assert self.process.returncode == 0
        return said.decode()

    def kill(self) -> list[Any]:
        """Kill it for good; return what it had still answered, line by line."""
        self.process.kill()
        said = self._read + self.process.communicate(timeout=PATIENCE_S)[0]
        self._read = b""
        return [json.loads(line) for line in said.split(b"\n")[:-1]]


@contextmanager
def workers(project: Project, number: int) -> Iterator[list[Worker]]:
    """Start that many processes, and let none of them live on."""
    started = [Worker(project) for _ in range(number)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
