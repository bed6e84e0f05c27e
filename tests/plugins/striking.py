"""The steps of a trip and of a move, by name; something strikes at one of them.

Only what leaves something behind is a step: a ledger line, a row, a flag, a notice.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flipback.control import KillSwitch, Moves
from flipback.control._ways import _Command
from flipback.stores import FileLedger, SqliteStore, _state
from flipback_providers.flagfile import FlagFileWriter


def _each(names: str) -> list[str]:
    return [f"{when} {name}" for name in names.split() for when in ("before", "after")]


TRIP = sorted(
    [
        *_each("ledger store read flag read-again note notice told settled"),
        *("amid ledger", "amid store", "amid flag"),
    ]
)
"""Where one can die in a trip; `amid` leaves half a line, no commit, no rename."""

MOVE = sorted(
    [
        *_each("record split record-again note"),
        *("amid record", "amid split", "amid record-again"),
    ]
)
"""Where it can die in a move."""


class Steps:
    """What this process does, step by step, and what strikes it where."""

    def __init__(self, at: str, strike: Callable[[], object]) -> None:
        self._at = at
        self._strike = strike
        self._lock = threading.Lock()
        self.on = False
        self.passed: list[str] = []

    def take(self, when: str, name: str, *, always: bool = False) -> None:
        """Go through a step for the first, the second or a later time."""
        if not self.on and not always:
            return
        step = f"{when} {name}"
        with self._lock:
            step = f"{step}-again" if step in self.passed else step
            fresh = step not in self.passed
            self.passed.append(step)
        if fresh and step == self._at:
            self._strike()


_steps: Steps | None = None
_inside = threading.local()


def arm(at: str, strike: Callable[[], object]) -> None:
    """Let something strike this process at a step, once."""
    global _steps  # noqa: PLW0603 - one process, one fate
    _steps = Steps(at, strike)


def passed() -> list[str]:
    """Return the steps that this process went through."""
    return [] if _steps is None else _steps.passed


def watch() -> None:
    """Watch the steps of this process and of those that it forks."""
    _period(KillSwitch, "kill")
    _period(Moves, "carry_out")
    _around(FileLedger, "kill", "ledger")
    _around(FileLedger, "note", "note")
    _around(SqliteStore, "put_latch", "store")
    _around(SqliteStore, "replace_rollout", "record")
    _around(SqliteStore, "post", "notice", always=True)
    _around(SqliteStore, "settle", "settled", always=True)
    _around(_Command, "tell", "told", always=True)
    _around(FlagFileWriter, "read", "read")
    _around(FlagFileWriter, "kill", "flag")
    _around(FlagFileWriter, "set_split", "split")
    _amid(_state, "put_latch", "store", before=False)
    _amid(_state, "replace_rollout", "record", before=False)
    _amid(Path, "replace", "", before=True)
    _half_written()


def _take(when: str, name: str, *, always: bool = False) -> None:
    if _steps is not None:
        _steps.take(when, name, always=always)


def _period(owner: type, method: str) -> None:
    """Count steps from the beginning of this on."""
    original: Callable[..., Any] = getattr(owner, method)

    def wrapped(*arguments: object, **named: object) -> object:
        if _steps is not None:
            _steps.on = True
        return original(*arguments, **named)

    setattr(owner, method, wrapped)


def _around(owner: type, method: str, name: str, *, always: bool = False) -> None:
    original: Callable[..., Any] = getattr(owner, method)

    def wrapped(*arguments: object, **named: object) -> object:
        _take("before", name, always=always)
        _inside.name = name
        try:
            done = original(*arguments, **named)
        finally:
            _inside.name = ""
        _take("after", name, always=always)
        return done

    setattr(owner, method, wrapped)


def _amid(owner: object, method: str, name: str, *, before: bool) -> None:
    """Strike where something is done and is not yet final."""
    original: Callable[..., Any] = getattr(owner, method)

    def wrapped(*arguments: object, **named: object) -> object:
        within = name or getattr(_inside, "name", "")
        if before and within:
            _take("amid", within)
        done = original(*arguments, **named)
        if not before:
            _take("amid", within)
        return done

    setattr(owner, method, wrapped)


def _half_written() -> None:
    """Write half of a kill's line before the rest of it."""
    original = os.pwrite

    def wrapped(file: int, content: bytes, offset: int) -> int:
        if getattr(_inside, "name", "") != "ledger":
            return original(file, content, offset)
        _inside.name = ""
        written = original(file, content[: len(content) // 2], offset)
        _take("amid", "ledger")
        return written

    os.pwrite = wrapped
