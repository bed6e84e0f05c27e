"""A terminal: what a person sees after all that was written to it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
from collections.abc import Callable, Sequence
from pathlib import Path


PATIENCE_S = 20.0
_ESCAPE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])")


class Screen:
    """A terminal that wraps at its last column, as all of them do."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.scrolled = 0
        self.modes: list[str] = []
        self._rows = [self._blank() for _ in range(height)]
        self._x = self._y = 0

    @property
    def rows(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._rows]

    def write(self, text: str) -> None:
        at = 0
        while at < len(text):
            escape = _ESCAPE.match(text, at)
            if escape is None:
                self._letter(text[at])
                at += 1
            else:
                self._obey(escape[1], escape[2])
                at = escape.end()

    def _blank(self) -> list[str]:
        return [" "] * self.width

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self._x = 0
        elif letter == "\n":
            self._next_row()
        else:
            if self._x == self.width:
                self._x = 0
                self._next_row()
            self._rows[self._y][self._x] = letter
            self._x += 1

    def _next_row(self) -> None:
        self._y += 1
        if self._y == self.height:
            self._y -= 1
            self._rows = [*self._rows[1:], self._blank()]
            self.scrolled += 1

    def _obey(self, argument: str, command: str) -> None:
        here = min(self._x, self.width - 1)
        if command in {"h", "l"}:
            self.modes.append(f"{argument}{command}")
        elif command == "H":
            self._x = self._y = 0
        else:
            self._rows[self._y][here:] = [" "] * (self.width - here)
            if command == "J":
                below = self.height - self._y - 1
                self._rows[self._y + 1 :] = [self._blank() for _ in range(below)]


class Terminal:
    """A command in a terminal of its own."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, width: int = 80, height: int = 24
    ) -> None:
        self.pid, self._end = pty.fork()
        if not self.pid:  # pragma: no cover - the child
            os.chdir(cwd)
            os.environ["TERM"] = "xterm"
            os.execv(command[0], [*command])  # noqa: S606 - our own program
        self.said = ""
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, size)

    def until(self, seen: Callable[[str], bool]) -> str:
        """Read until enough was said, or the command has ended."""
        while not seen(self.said):
            ready, _, _ = select.select([self._end], [], [], PATIENCE_S)
            try:
                more = os.read(self._end, 1 << 16) if ready else b""
            except OSError:  # the command has ended
                more = b""
            if not more:
                break
            self.said += more.decode()
        return self.said

    def press(self, key: bytes) -> None:
        os.write(self._end, key)

    def ended(self) -> int:
        """Read all the rest; return the exit code."""
        self.until(lambda _: False)
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
