"""How a command speaks; it is loaded before all else, and needs little."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from typing import TextIO

from flipback.cli._exit import ExitCode


_QUOTED = re.compile(r"'[^']*'")
_COMMAND = "flipback "


def plain(text: str) -> str:
    """Return text on one line that a terminal shows and does not obey."""
    return "".join(map(_shown, _pasteable(text) if _COMMAND in text else text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _pasteable(text: str) -> str:
    """Return commands whose arguments a shell takes though they cannot be shown."""
    return _QUOTED.sub(_spelled, text)


def _spelled(word: re.Match[str]) -> str:
    """Return a quoted word as `$'...'` where the terminal cannot show its letters."""
    inner = word[0][1:-1]
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if inner.isprintable() and inner == inner.encode(encoding, "ignore").decode(
        encoding
    ):
        return word[0]
    letters = inner.replace("\\", "\\\\").encode(errors="surrogateescape")
    return f"$'{''.join(map(_byte, letters))}'"


def _byte(byte: int) -> str:
    letter = chr(byte)
    return letter if letter.isascii() and letter.isprintable() else f"\\x{byte:02x}"


def say(text: str) -> None:
    """Print one line."""
    print(plain(text))


def say_json(value: object) -> None:
    """Print one JSON value, in ASCII: every terminal and pipe can take that."""
    print(json.dumps(value, indent=2, allow_nan=False))


def warn(text: str) -> None:
    """Say something on standard error, each line marked as ours."""
    for line in text.splitlines():
        print(f"flipback: {plain(line)}", file=sys.stderr)


def speak_any_encoding() -> None:
    """Show what the terminal's encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person reads a stream; it is None where it is closed."""
    return stream is not None and stream.isatty()


def tell(what: Callable[[], None], code: ExitCode) -> ExitCode:
    """Say what was done; the exit code tells of that, whoever reads the rest."""
    try:
        what()
        if sys.stdout is not None:  # as it is where nobody listens from the start
            sys.stdout.flush()
    except OSError as error:
        hush()
        why = error.strerror or error
        warn(f"the answer could not be written ({why}); exit code {code:d} holds")
    return code


def hush() -> None:
    """Send what is still to be said nowhere: nobody takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
