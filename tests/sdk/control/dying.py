"""Kills a process at every step of a kill, one after the other: `dying.py FOLDER`.

A program of its own, because it forks. Prints what the next process found and did
after each death, as JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from flipback.control import SystemClock
from flipback.latch import Latch, scoped
from flipback.ports import EntryKind, FlagChange, FlagRef, FlagState, Intent, LedgerNote
from flipback.stores import FileLedger, SqliteStore
from projects import FLAG, ROUTE, Project, create_project
from troubles import INTENT, Control, TroubledWriter, until


NAMES = (ROUTE, scoped(ROUTE, "plan=enterprise"))
_T = TypeVar("_T")
_DEAD = 9
_MOST = 40


class Steps:
    """Counts what is done, before and after each act, and dies at one of them."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.name = ""

    def through(self, name: str, act: Callable[[], _T]) -> _T:
        self._take(f"before {name}")
        done = act()
        self._take(f"after {name}")
        return done

    def _take(self, name: str) -> None:
        if self.left == 0:
            Path("died").write_text(name)
            os._exit(_DEAD)
        self.left -= 1


class Ledger(FileLedger):
    steps: Steps

    @override
    def kill(self, route: str, *, intent: Intent, at: str, floor: Latch) -> Latch:
        append = super().kill
        return self.steps.through(
            "ledger", lambda: append(route, intent=intent, at=at, floor=floor)
        )

    @override
    def note(self, note: LedgerNote) -> None:
        append = super().note
        self.steps.through("note", lambda: append(note))


class Store(SqliteStore):
    steps: Steps

    @override
    def put_latch(self, latch: Latch) -> Latch:
        put = super().put_latch
        return self.steps.through("store", lambda: put(latch))


class Writer(TroubledWriter):
    steps: Steps

    @override
    def read(self, ref: FlagRef) -> FlagState:
        read = super().read
        return self.steps.through("read", lambda: read(ref))

    @override
    def kill(
        self, ref: FlagRef, *, control: str, intent: Intent, cohort: str | None = None
    ) -> FlagChange:
        kill = super().kill
        return self.steps.through(
            "flag", lambda: kill(ref, control=control, intent=intent, cohort=cohort)
        )


def dies(project: Project, name: str, last: int) -> None:
    """Kill, and die after that many steps."""
    steps, clock = Steps(last), SystemClock()
    ledger, store = Ledger(project.ledger, clock), Store(project.store, clock=clock)
    Ledger.steps = Store.steps = Writer.steps = steps
    process = Control(project, ledger=ledger, store=store, writer=Writer(project.flags))
    process.switch.refresh()
    process.switch.kill(name, intent=INTENT)


def goes_on(project: Project, name: str) -> dict[str, object]:
    """Start as the next process does; kill again only if nobody knows of the kill."""
    process = Control(project)
    process.switch.refresh()
    known = process.switch.latch(name).held
    if not known:
        process.switch.kill(name, intent=INTENT)
    process.switch.resume()

    def arrivals() -> int:
        kinds = [entry.kind for entry in process.ground.ledger.entries()]
        return kinds.count(EntryKind.FLAG_WRITE)

    arrived = until(lambda: arrivals() > 0)
    process.switch.refresh()
    stored = process.ground.store.latches()[name]
    process.close()
    kills = [e for e in process.ground.ledger.entries() if e.kind is EntryKind.KILL]
    return {
        "known": known,
        "arrived": arrived,
        "arrivals": arrivals(),
        "held": process.switch.latch(name).held,
        "stored": (stored.trip, stored.held),
        "trips": [entry.latch.trip for entry in kills if entry.latch],
        "flag": json.loads(project.flags.read_text())["flags"][FLAG]["targeting"],
    }


def forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    act()
    os._exit(0)


def main(folder: Path) -> None:
    for name in NAMES:
        for last in range(_MOST):
            place = folder / f"{NAMES.index(name)}-{last}"
            place.mkdir()
            project = create_project(place)
            os.chdir(place)
            if forked(lambda p=project, n=name, k=last: dies(p, n, k)) != _DEAD:  # type: ignore[misc]  # bound now
                break
            forked(
                lambda p=project, n=name: Path("seen").write_text(  # type: ignore[misc]  # bound now
                    json.dumps(goes_on(p, n))
                )
            )
            died = Path("died").read_text()
            seen = json.loads(Path("seen").read_text())
            sys.stdout.write(json.dumps({"name": name, "died": died, **seen}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
