"""Lets something strike at every step of a trip or a move: `chaos.py KIND FOLDER`.

A program of its own, because it forks: each process of each case is a real one, and
dies by SIGKILL. Prints what became of each case, as a line of JSON.
"""

import ctypes
import io
import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from days import Days
from openfeature.evaluation_context import EvaluationContext

import striking
from apps import App
from flipback.app import Guard, _runtime
from flipback.cli import main
from flipback.control import SystemClock, _controller, _notify
from flipback.ports import EntryKind
from flipback.rollout import Phase
from flipback.stores import FileLedger, SqliteStore
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
AT_ONCE = 6
_CAPABILITIES_3 = 0x20080522
_OVERRIDES = 0b110  # of modes, and of those for reading
HOUR = timedelta(hours=1)


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

    @property
    def told(self) -> Path:
        return self.folder / "told"

    def fork(self, act: Callable[[], object]) -> int:
        """Let another process act, which ends with its parent at the latest."""
        child = os.fork()
        if child:
            self.pids.append(child)
            return child
        quietly(self.folder / "log")
        try:
            act()
        finally:
            os._exit(0)

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

    def entries(self) -> list[EntryKind]:
        ledger = FileLedger(self.project.ledger, SystemClock())
        return [e.kind for e in ledger.entries() if not e.route.startswith("flipback")]

    def kinds(self, kind: EntryKind) -> int:
        return self.entries().count(kind)

    def events(self) -> list[str]:
        if not self.told.exists():
            return []
        lines = self.told.read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]

    def close(self) -> None:
        for pid in self.pids:
            with_no = os.waitpid(pid, os.WNOHANG)[0] == 0
            if with_no:
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
    tell = ["/bin/sh", "-c", f"cat >> {folder}/told; echo >> {folder}/told"]
    way = {"command": tell, "on": ["trip", "blocked", "held"]}
    run = "thread" if kind == "application" else "elsewhere"
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
        "trips": case.kinds(EntryKind.KILL),
        "arrivals": case.kinds(EntryKind.FLAG_WRITE),
        "offered": offered(case.project),
        "told": case.events(),
    }


def obeyed(case: Case) -> bool:
    return all((case.folder / f"obeys-{pid}").exists() for pid in case.apps)


def tripped(case: Case) -> bool:
    """Return whether nothing more is to come of a trip."""
    done = EntryKind.FLAG_WRITE in case.entries() and "trip" in case.events()
    return done and obeyed(case)


def trip(case: Case) -> dict[str, object]:
    """Let the guard roll back; whom the kind names dies at the step."""
    app = case.application()
    mine, other = case.kind in {"guard", "both"}, case.kind in {"neither guard"}
    victims = [] if other or case.kind == "guard" else [app]
    strike = case.strikes(*victims, me=mine)
    guard = case.guard(lambda: striking.arm(case.step, strike))
    until(case.struck.exists)
    if victims:
        case.apps.remove(app)
        case.application()
    if mine:
        os.waitpid(guard, 0)
        case.pids.remove(guard)
        case.guard()
    settled = until(lambda: tripped(case))
    return {**seen(case), "settled": settled}


def trip_alone(case: Case) -> dict[str, object]:
    """Let an application roll back that is its own guard, and die at the step."""
    strike = case.strikes(me=True)
    died = case.application(lambda: striking.arm(case.step, strike))
    os.waitpid(died, 0)
    case.pids.remove(died)
    case.application()
    settled = until(lambda: tripped(case))
    return {**seen(case), "settled": settled}


def trip_amid_a_jump(case: Case) -> dict[str, object]:
    """Set the clock of the guard, and of it alone, by an hour, and kill it later."""
    by = HOUR if case.kind == "forward" else -HOUR
    case.application()
    clock = WallClock()

    def jump() -> None:
        clock.turn(by)
        case.struck.touch()

    def act() -> None:
        striking.arm(case.step, jump)
        with Guard.from_config(case.project.config, clock=clock):
            serve_nobody()

    guard = case.fork(act)
    until(lambda: case.struck.exists() and obeyed(case))
    os.kill(guard, signal.SIGKILL)
    case.guard()
    settled = until(lambda: tripped(case))
    return {**seen(case), "settled": settled}


def serve_nobody() -> None:
    parent = os.getppid()
    until(lambda: os.getppid() != parent, within_s=2 * WITHIN_S)


def trip_of_two(case: Case) -> dict[str, object]:
    """Let two guards come to the same step, and go on together."""
    case.application()
    for _ in range(2):
        case.guard(lambda: striking.arm(case.step, case.waits()))

    def both() -> bool:
        return len([*case.folder.glob("struck-*")]) == 2

    met = until(both, within_s=2.0)
    (case.folder / "go on").touch()
    settled = until(lambda: tripped(case))
    return {**seen(case), "settled": settled, "met": met}


def obey_modes() -> None:
    """Let read-only mean that for the superuser too, in this process."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert not libc.capget(header, sets)
    sets[0] &= ~_OVERRIDES
    assert not libc.capset(header, sets)


def trip_read_only(case: Case) -> dict[str, object]:
    """Let a guard roll back that may not write the flag, and then may."""
    flags, folder = case.project.flags, case.project.flags.parent
    folder.chmod(0o555)
    flags.chmod(0o444)
    case.struck.touch()
    case.application()
    case.guard(obey_modes)
    blocked = until(
        lambda: {"trip", "blocked"} <= {*case.events()} and obeyed(case),
    )
    before = seen(case)
    folder.chmod(0o755)
    flags.chmod(0o644)
    settled = until(lambda: tripped(case))
    return {**seen(case), "settled": settled and blocked, "before": before}


def move(case: Case) -> dict[str, object]:
    """Let the guard move the split; at the step it dies, somebody kills, or both."""
    case.application()
    dies, killed = "dies" in case.kind, "killed" in case.kind
    strike = case.strikes(me=True) if dies else case.waits()
    guard = case.guard(lambda: striking.arm(case.step, strike))
    until(case.struck.exists)
    if dies:
        os.waitpid(guard, 0)
        case.pids.remove(guard)
    if killed:
        kill_by_hand(case)
    (case.folder / "go on").touch()
    if dies:
        case.guard()
    settled = until(lambda: moved(case, killed=killed))
    with_store = SqliteStore(case.project.store, clock=SystemClock())
    record = with_store.rollout(ROUTE)
    with_store.close()
    return {
        **seen(case),
        "settled": settled,
        "phase": record.phase,
        "stage": record.stage,
        "pending": dict(record.pending),
        "split": dict(record.split),
    }


def moved(case: Case, *, killed: bool) -> bool:
    if killed:
        return tripped(case)
    store = SqliteStore(case.project.store, clock=SystemClock())
    record = store.rollout(ROUTE)
    store.close()
    done = record.stage == 1 and not record.pending and record.phase is Phase.CANARY
    return done and json.dumps(["v2", 50000]) in compact(case.project)


def compact(project: Project) -> str:
    return json.dumps(json.loads(project.flags.read_text()))


AT = ["before ledger", "after ledger", "before flag", "after note", "before told"]
KINDS: dict[str, tuple[Callable[[Case], dict[str, object]], list[str], bool]] = {
    "guard": (trip, striking.TRIP, True),
    "other": (trip, striking.TRIP, True),
    "both": (trip, striking.TRIP, True),
    "application": (trip_alone, striking.TRIP, True),
    "forward": (trip_amid_a_jump, AT, True),
    "back": (trip_amid_a_jump, AT, True),
    "two guards": (trip_of_two, ["before ledger", "before store", "before flag"], True),
    "read-only": (trip_read_only, ["none"], True),
    "dies": (move, striking.MOVE, False),
    "killed": (move, striking.MOVE, False),
    "dies and killed": (move, striking.MOVE, False),
}


@contextmanager
def hurried() -> Iterator[None]:
    """Let what a dead process held lapse sooner, as nobody waits ten seconds here."""
    _notify.LEASE_S = 1.0
    _controller.TTL_S, _controller._RENEWED_S = 1.0, 0.3  # noqa: SLF001
    _runtime._BEAT_S = 0.2  # type: ignore[misc]  # noqa: SLF001
    yield


def run(kind: str, place: Path) -> None:
    act, steps, harmful = KINDS[kind]
    origin = place / "template"
    waited = os.fork()
    if not waited:
        template(origin, harmful=harmful)
        os._exit(0)
    assert os.waitpid(waited, 0)[1] == 0
    running: dict[int, Path] = {}
    for number, step in enumerate(steps):
        while len(running) >= AT_ONCE:
            collect(running)
        case = case_of(kind, step, origin, place / str(number))
        child = os.fork()
        if not child:
            survive(case, act)
        running[child] = case.folder
    while running:
        collect(running)


def survive(case: Case, act: Callable[[Case], dict[str, object]]) -> None:
    code = 1
    try:
        became = act(case)
        (case.folder / "became").write_text(json.dumps(became))
        code = 0
    finally:
        case.close()
        os._exit(code)


def collect(running: dict[int, Path]) -> None:
    pid, status = os.wait()
    folder = running.pop(pid)
    if status:
        raise SystemExit(f"{folder}: {status}")
    sys.stdout.write(f"{(folder / 'became').read_text()}\n")


if __name__ == "__main__":
    striking.watch()
    with hurried():
        run(sys.argv[1], Path(sys.argv[2]))
