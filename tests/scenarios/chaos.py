"""Lets something strike at each step of a trip or a move: `chaos.py FOLDER KIND ...`.

A program of its own, because it forks: each process of each case is a real one, and
dies by SIGKILL. Prints what became of each case, as a line of JSON.
"""

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import striking
from doomed import (
    WITHIN_S,
    Case,
    WallClock,
    case_of,
    kill_by_hand,
    obeyed,
    seen,
    surely,
    template,
    tripped,
    until,
)
from flipback.app import Guard, _open, _runtime
from flipback.control import SystemClock, _controller, _notify
from flipback.rollout import Phase
from flipback.stores import SqliteStore
from projects import ROUTE


AT_ONCE = 8
HOUR = timedelta(hours=1)
_CAPABILITIES_3 = 0x20080522
_OVERRIDES = 0b110  # of modes, and of those for reading


def trip(case: Case) -> dict[str, object]:
    """Let the guard roll back; whom the kind names dies at the step."""
    app = case.application()
    mine = case.kind != "application"
    victims = [] if case.kind == "guard" else [app]
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
    return record.stage == 1 and not record.pending and record.phase is Phase.CANARY


AT = ["before ledger", "after ledger", "before flag", "after note", "before told"]


class Kind(NamedTuple):
    """What is done in each case of a kind, at which steps, and on which evidence."""

    act: Callable[[Case], dict[str, object]]
    steps: list[str]
    harmful: bool = True


KINDS = {
    "guard": Kind(trip, striking.TRIP),
    "application": Kind(trip, striking.TRIP),
    "both": Kind(trip, striking.TRIP),
    "own guard": Kind(trip_alone, striking.TRIP),
    "forward": Kind(trip_amid_a_jump, AT),
    "back": Kind(trip_amid_a_jump, AT),
    "two guards": Kind(trip_of_two, ["before ledger", "before store", "before flag"]),
    "read-only": Kind(trip_read_only, ["none"]),
    "dies": Kind(move, striking.MOVE, harmful=False),
    "killed": Kind(move, striking.MOVE, harmful=False),
    "dies and killed": Kind(move, striking.MOVE, harmful=False),
}


def hurry() -> None:
    """Wait less, and do once what each fork would do for itself.

    What a dead process held lapses sooner, as nobody waits ten seconds here.
    """
    _notify.LEASE_S = 1.0
    _controller.TTL_S, _controller._RENEWED_S = 1.0, 0.3  # noqa: SLF001
    _runtime._BEAT_S = 0.2  # noqa: SLF001
    _open.entry_points = cache(_open.entry_points)
    gc.freeze()  # else each fork copies all that is imported


def run(kinds: Sequence[str], place: Path) -> None:
    """Run all cases of these kinds, which begin alike, some at a time."""
    origin = place / "template"
    child = os.fork()
    if not child:
        surely(lambda: template(origin, harmful=KINDS[kinds[0]].harmful))
    assert os.waitpid(child, 0)[1] == 0
    running: dict[int, Path] = {}
    for kind, step in [(each, step) for each in kinds for step in KINDS[each].steps]:
        if len(running) >= AT_ONCE:
            collect(running)
        case = case_of(kind, step, origin, place / f"{kind} {step}".replace(" ", "-"))
        child = os.fork()
        if not child:
            surely(lambda c=case: become(c))  # type: ignore[misc]  # bound now
        running[child] = case.folder
    while running:
        collect(running)


def become(case: Case) -> None:
    try:
        became = KINDS[case.kind].act(case)
    finally:
        case.close()
    (case.folder / "became").write_text(json.dumps(became))


def collect(running: dict[int, Path]) -> None:
    pid, status = os.wait()
    folder = running.pop(pid)
    if status:
        raise SystemExit(f"{folder}: {status}")
    sys.stdout.write(f"{(folder / 'became').read_text()}\n")


if __name__ == "__main__":
    striking.watch()
    hurry()
    run(sys.argv[2:], Path(sys.argv[1]))
