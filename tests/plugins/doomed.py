"""Cases that something strikes: a project, and real processes on it, each forked."""

import io
import json
import os
import select
import shutil
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

from openfeature.evaluation_context import EvaluationContext

from apps import App
from days import Days
from flipback.cli import main
from flipback.control import SystemClock
from flipback.stores import FileLedger
from flipback.verdict import Verdict
from flipback_providers.flagfile import FlagFileProvider
from projects import FLAG, ROUTE, Project, as_toml, create_project


PLAN: dict[str, object] = {
    "stages": [{"weight": 10}, {"weight": 50, "window": "7d"}],
    "cohorts": None,
    "guardrails": [
        {"metric": "error", "fails_on": "increase", "tolerance": 1.0, "kind": "event"}
    ],
}
SUBJECTS = 3000
WITHIN_S = 20.0


def until(true: Callable[[], bool], *, within_s: float = WITHIN_S) -> bool:
    """Return whether this became true in time; looked at now and then."""
    clock, pause = SystemClock(), threading.Event()
    end = clock.monotonic() + within_s
    while not true():
        if clock.monotonic() > end:
            return False
        pause.wait(0.03)
    return True


class WallClock:
    """The machine's clock, whose wall time can be set."""

    def __init__(self) -> None:
        self._machine = SystemClock()
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return self._machine.now() + self._ahead

    def monotonic(self) -> float:
        return self._machine.monotonic()

    def turn(self, by: timedelta) -> None:
        self._ahead += by


def template(folder: Path, *, harmful: bool) -> None:
    """Make a project in its first stage, with evidence that decides what is next."""
    project = create_project(folder, plan=PLAN)
    project.write_flag({"v1": 100, "v2": 0})
    days = Days(
        project,
        rates=(lambda *_: 0.5) if harmful else (lambda *_: 0.02),
        users_a_day=20_000,
    )
    days.clock.turn(SystemClock().now() - days.clock.now() - timedelta(days=5))
    assert not days.operator.start(ROUTE, actor="ada").refused
    for _ in range(36):
        days.step(2.0, looks=False)
        gate = days.operator.status()[0].gate
        if harmful or (gate is not None and gate.verdict is Verdict.PASS):
            break
    days.close()


@dataclass(kw_only=True)
class Case:
    """One step of one kind, in a folder of its own."""

    kind: str
    step: str
    folder: Path
    project: Project
    pids: list[int] = field(default_factory=list)
    apps: list[int] = field(default_factory=list)

    @property
    def struck(self) -> Path:
        return self.folder / "struck"

    def fork(self, act: Callable[[], object]) -> int:
        """Let another process act, which ends with its parent at the latest."""
        child = os.fork()
        if child:
            self.pids.append(child)
            return child
        quietly(self.folder / "log")
        surely(act)
        return None

    def application(
        self, armed: Callable[[], object] | None = None, clock: WallClock | None = None
    ) -> int:
        """Start an application, and wait until it decides."""
        reader, writer = os.pipe()

        def act() -> None:
            os.close(reader)
            if armed:
                armed()
            with App(self.project, fails=False, clock=clock) as app:
                os.write(writer, b".")
                serve(self.folder, app)

        pid = self.fork(act)
        os.close(writer)
        if armed is None:
            select.select([reader], [], [], WITHIN_S)
            self.apps.append(pid)
        os.close(reader)
        return pid

    def guard(self, armed: Callable[[], object] | None = None) -> int:
        """Start `flipback guard`."""

        def act() -> None:
            if armed:
                armed()
            main(["guard", "--config", str(self.project.config)])

        return self.fork(act)

    def strikes(self, *victims: int, me: bool) -> Callable[[], None]:
        """Return what kills these processes, and the one that calls it."""

        def strike() -> None:
            self.struck.touch()
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            if me:
                os.kill(os.getpid(), signal.SIGKILL)

        return strike

    def waits(self) -> Callable[[], None]:
        """Return what waits until the case goes on."""

        def strike() -> None:
            (self.folder / f"struck-{os.getpid()}").touch()
            self.struck.touch()
            until((self.folder / "go on").exists)

        return strike

    def entries(self) -> list[str]:
        """Return the kinds of the ledger's entries, arrivals of kills by that name."""
        ledger = FileLedger(self.project.ledger, SystemClock())
        return [
            "arrival" if "reached the flag service" in entry.note else entry.kind
            for entry in ledger.entries()
        ]

    def events(self) -> list[str]:
        """Return what people were told, each time."""
        bodies = [each.read_text() for each in self.folder.glob("*.told")]
        # Empty is what a guard that died leaves a program that it had begun to tell.
        return sorted(json.loads(body)["event"] for body in bodies if body)

    def close(self) -> None:
        for pid in self.pids:
            if not os.waitpid(pid, os.WNOHANG)[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self.pids = []


def quietly(log: Path) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(out, 1)
    os.dup2(out, 2)


def serve(folder: Path, app: App) -> None:
    """Serve a little until the parent is gone; say when control is served."""
    parent = os.getppid()
    obeys = folder / f"obeys-{os.getpid()}"

    def ends() -> bool:
        if app.reason() == "killed":
            obeys.touch()
        return os.getppid() != parent

    until(ends, within_s=2 * WITHIN_S)


def case_of(kind: str, step: str, origin: Path, folder: Path) -> Case:
    """Copy a template, and let people be told by a program."""
    shutil.copytree(origin, folder)
    config = folder / "flipback.toml"
    tell = ["/bin/sh", "-c", f"cd {folder}; cat > $$.part && mv $$.part $$.told"]
    way = {"command": tell, "on": ["trip", "blocked", "held"]}
    run = "thread" if kind == "own guard" else "elsewhere"
    guard = {"run": run, "flush": "100ms", "every": "100ms"}
    notify = "".join(f"{k} = {json.dumps(v)}\n" for k, v in way.items())
    flags = folder / "flags.flagd.json"
    if kind == "read-only":
        (folder / "flags").mkdir()
        flags = flags.rename(folder / "flags" / flags.name)
    toml = {"guard": guard, "flags": f"flagfile:{flags.relative_to(folder)}"}
    config.write_text(f"{as_toml(toml)}\n[[notify]]\n{notify}")
    project = Project(path=folder, config=config, flags=flags)
    return Case(kind=kind, step=step, folder=folder, project=project)


def command(case: Case, *words: str) -> tuple[int, str]:
    """Run the command line in this process; return its status and what it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = main([*words, "--config", str(case.project.config)])
    return status, said.getvalue()


def kill_by_hand(case: Case) -> None:
    def act() -> None:
        words = ["kill", ROUTE, "--reason", "bad", "--actor", "eve"]
        main([*words, "--config", str(case.project.config)])

    child = case.fork(act)
    os.waitpid(child, 0)
    case.pids.remove(child)


def offered(project: Project) -> dict[str, int]:
    """Return whom the flag file gives what, flipback or not."""
    provider, counted = FlagFileProvider(project.flags), dict[str, int]()
    provider.reload()
    for number in range(SUBJECTS):
        user = EvaluationContext(f"subject-{number}", {"plan": "free"})
        variant = provider.resolve_string_details(FLAG, "v1", user).value
        counted[variant] = counted.get(variant, 0) + 1
    return counted


def seen(case: Case) -> dict[str, object]:
    """Return what a fresh process serves, and what people are told."""
    verified, history = command(case, "ledger", "--verify")
    _, status = command(case, "status")
    with App(case.project, fails=False) as fresh:
        served = dict(fresh.serve(100))
        reason = fresh.reason()
    return {
        "kind": case.kind,
        "step": case.step,
        "struck": case.struck.exists(),
        "verified": verified,
        "history": history if verified else "",
        "status": status,
        "served": served,
        "reason": reason,
        "entries": case.entries(),
        "offered": offered(case.project),
        "told": case.events(),
    }


def obeyed(case: Case) -> bool:
    return all((case.folder / f"obeys-{pid}").exists() for pid in case.apps)


def tripped(case: Case) -> bool:
    """Return whether nothing more is to come of a trip."""
    done = "arrival" in case.entries() and "trip" in case.events()
    return done and obeyed(case)


def surely(act: Callable[[], object]) -> NoReturn:
    """End this process after an act, whatever becomes of that."""
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - it is a process of its own
        traceback.print_exc()
    finally:
        os._exit(code)
