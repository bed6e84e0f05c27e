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
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": str(TESTS / "plugins")},
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, command: str, *arguments: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps([command, *arguments])}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:  # noqa: ANN401 - each command has an answer of its own
        """Return the next line, or fail with what the process complained of."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"no answer: {self.process.communicate()[1]}")
        return json.loads(line)

    def ask(self, command: str, *arguments: object) -> Any:  # noqa: ANN401 - as above
        self.tell(command, *arguments)
        return self.answer()

    def end(self) -> str:
        """End it as an application ends; return what it complained of."""
        said = self.process.communicate(timeout=PATIENCE_S)[1]
        assert self.process.returncode == 0
        return said

    def kill(self) -> str:
        """Kill it for good; return what it had still said."""
        self.process.kill()
        return self.process.communicate(timeout=PATIENCE_S)[0]


@contextmanager
def workers(project: Project, number: int) -> Iterator[list[Worker]]:
    """Start that many processes, and let none of them live on."""
    started = [Worker(project) for _ in range(number)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
