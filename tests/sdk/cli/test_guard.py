import json
import logging
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apps import App
from flipback import Reason
from flipback.cli import ExitCode
from projects import Project as Folder
from projects import create_project
from shells import Project
from troubles import until


PATIENCE_S = 20.0


class Guarding:
    """A `flipback guard` of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        self.process, self.log = process, process.stderr
        self.said = b""

    def until(self, words: bytes) -> str:
        while words not in self.said:
            assert select.select([self.log], [], [], PATIENCE_S)[0], self.said
            more = self.log.read(1 << 16)
            assert more, self.said
            self.said += more
        return self.said.decode()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def guarding(folder: Folder, *options: str) -> Iterator[Guarding]:
    command = [sys.executable, "-m", "flipback.cli", "guard", *options]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stderr=subprocess.PIPE, cwd=folder.path, bufsize=0
    ) as process:
        try:
            yield Guarding(process)
        finally:
            process.kill()


def test_one_look_says_what_it_asks_for(project: Project) -> None:
    said = project.run("guard", "--once")
    assert said.code == ExitCode.OK
    assert said.out == (
        "summarizer: holds: no rollout is under way, and no harm is proven\n"
    )
    (look,) = project.run("guard", "--once", "--json").json()["looks"]
    assert look == {
        "route": "summarizer",
        "action": "hold",
        "verdict": "inconclusive",
        "trip": None,
        "moved": False,
        "done": "holds: no rollout is under way, and no harm is proven",
        "phase": "idle",
        "stage": None,
    }


def test_a_guard_goes_by_no_plan_that_has_mistakes(project: Project) -> None:
    project.plan("summarizer", candidate="v1")
    said = project.run("guard", "--once")
    assert said.code == ExitCode.USAGE
    assert "control and candidate are both 'v1'" in said.err


def test_the_log_of_the_library_is_left_as_it_was(project: Project) -> None:
    logger = logging.getLogger("flipback")
    before = (logger.level, logger.propagate, list(logger.handlers))
    project.run("guard", "--once")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


ELSEWHERE = {"run": "elsewhere", "flush": "50ms"}


def test_one_look_rolls_back_and_says_why(project: Project) -> None:
    folder = create_project(project.root / "elsewhere", guard=ELSEWHERE)
    with App(folder) as app:
        app.serve()
    said = project.run("guard", "--once", "--dry-run", "--config", str(folder.config))
    assert said.code == ExitCode.OK
    assert said.out.startswith(
        "support: dry run, nothing is done: asks for a roll back: error "
    )
    assert "WARNING dry run: route support: would have rolled back: " in said.err
    said = project.run("guard", "--once", "--config", str(folder.config))
    assert said.code == ExitCode.OK
    assert said.out.startswith("support: rolled back support by trip 1: error ")
    assert "WARNING route support: control serves, killed by " in said.err
    again = project.run("guard", "--once", "--config", str(folder.config))
    assert again.out == "support: holds: rolled back; a person starts anew\n"


def test_a_guard_says_what_it_guards_and_obeys_a_signal(
    tmp_path: Path,
) -> None:
    folder = create_project(tmp_path, guard=ELSEWHERE)
    with guarding(folder, "--dry-run", "--json") as guard:
        guard.until(b"guarding support by ")
        assert guard.end() == ExitCode.OK
        guard.said += guard.log.read()
    first, *_, last = map(json.loads, guard.said.decode().splitlines())
    assert {*first} == {"at", "level", "message"}
    assert "DRY RUN: nothing is rolled back or moved" in guard.said.decode()
    assert last["message"] == "the guard ends in good order"


@pytest.mark.long
def test_a_guard_rolls_back_what_an_application_records_elsewhere(
    tmp_path: Path,
) -> None:
    folder = create_project(tmp_path, guard=ELSEWHERE)
    with guarding(folder) as guard, App(folder) as app:
        guard.until(b"guarding support by ")
        app.serve()
        said = guard.until(b"killed by guardrail evaluator")
        assert until(lambda: app.reason() is Reason.KILLED)
        assert guard.end() == ExitCode.OK
    assert "to end it: flipback release support --trip 1" in said
    flag = json.loads(folder.flags.read_text())["flags"]["support-model"]
    assert flag["defaultVariant"] == "v1"
    assert not flag.get("targeting")
