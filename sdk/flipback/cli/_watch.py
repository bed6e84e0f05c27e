"""Look again and again, until a signal ends it."""

import os
import select
import shutil
import signal
import sys
import unicodedata
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TextIO

from flipback.cli._shell import is_terminal


_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_NEXT_ROW = "\r\n"
ENDS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one look shows.

    Attributes:
        text: The page.
        essence: The same without what changes by itself as time goes by.
    """

    text: str
    essence: object


class Bell:
    """Wakes whoever waits: its signal handlers write to a pipe and do nothing else."""

    def __init__(self, reader: int) -> None:
        self._reader = reader

    def ended(self, within_s: float, *, output: int | None = None) -> bool:
        """Wait for a signal; return whether it is one that ends the command.

        Args:
            within_s: Seconds to wait.
            output: A descriptor; if it is a pipe that nobody reads any more, that
                ends the command too.
        """
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if output is not None:
            poll.register(output, 0)  # which asks for errors alone
        ready = [number for number, _ in poll.poll(1000 * within_s)]
        rung = os.read(self._reader, 64) if self._reader in ready else b""
        return output in ready or any(number in ENDS for number in rung)


def _output() -> int | None:
    """Return standard output's descriptor, None where it has none."""
    try:
        return None if sys.stdout is None else sys.stdout.fileno()
    except (OSError, ValueError):  # of a stream in memory, or a closed one
        return None


@contextmanager
def bell(*others: signal.Signals) -> Generator[Bell]:
    """Let SIGINT, SIGTERM and others ring instead of ending the process."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def ring(number: int, _: FrameType | None) -> None:
        os.write(writer, bytes([number]))

    before = {number: signal.signal(number, ring) for number in (*ENDS, *others)}
    try:
        yield Bell(reader)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        os.close(reader)


def watch(look: Callable[[], Page], *, every_s: float, in_place: bool) -> None:
    """Show a page until a signal ends it.

    Args:
        look: Returns the page as it is now.
        every_s: Seconds between looks.
        in_place: Redraw where standard output is a terminal; elsewhere, and if not,
            a page is printed once something has changed.
    """
    with bell(signal.SIGWINCH) as ends:
        if in_place and can_redraw(sys.stdout):
            _redraw(look, ends, every_s)
        else:
            _print_changes(look, ends, every_s)


def can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return is_terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"


def _redraw(look: Callable[[], Page], ends: Bell, every_s: float) -> None:
    text = ""
    _send(_ENTER)
    try:
        while True:
            text = look().text
            _send(frame(text, *shutil.get_terminal_size()))
            if ends.ended(every_s, output=_output()):
                return
    finally:
        _send(f"{_LEAVE}{text}")  # what was seen last stays


def _print_changes(look: Callable[[], Page], ends: Bell, every_s: float) -> None:
    shown: object = None
    while True:
        page = look()
        if page.essence != shown:
            _send(f"{page.text}\n")
            shown = page.essence
        if ends.ended(every_s, output=_output()):
            return


def frame(text: str, width: int, height: int) -> str:
    """Return a page as one write that replaces what the terminal shows.

    Nothing is erased before it is written over, so nothing flickers. What does not
    fit is left out, and the last row says so.
    """
    rows = [piece for line in text.splitlines() for piece in _pieces(line, width)]
    if len(rows) > height:
        left_out = len(rows) - height + 1
        told = f"... {left_out} more lines: make the window taller"[:width]
        rows = [*rows[: height - 1], told]
    filled = _NEXT_ROW.join(_filled(piece, width) for piece in rows or [""])
    below = f"{_NEXT_ROW}{_REST_OF_SCREEN}" if len(rows) < height else ""
    return f"{_HOME}{filled}{below}"


def _filled(piece: str, width: int) -> str:
    """Return a row that erases what was right of it; a full row has nothing there."""
    return piece if cells(piece) >= width else f"{piece}{_REST_OF_LINE}"


def _pieces(line: str, width: int) -> Sequence[str]:
    """Return a line in pieces that each fit into a row."""
    pieces, room = [""], width
    for char in line:
        room -= cells(char)
        if room < 0:
            pieces.append("")
            room = width - cells(char)
        pieces[-1] += char
    return pieces


def cells(text: str) -> int:
    """Return how many columns a terminal takes for a text."""
    return sum(
        1 + (unicodedata.east_asian_width(char) in {"W", "F"})
        for char in text
        if not unicodedata.combining(char)
    )


def _send(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
