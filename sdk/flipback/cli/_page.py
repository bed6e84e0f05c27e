"""How text fits a terminal."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator

from flipback.cli._shell import is_terminal


WIDTH = 100
"""Columns that facts are wrapped to, if the terminal has as many."""

_NAME = 10
_INDENT = 3 + _NAME
_COMMAND = re.compile(r"`[^`]*`|^flipback .*")
_NO_BREAK = "\N{NO-BREAK SPACE}"


def fact(name: str, text: str) -> str:
    """Return a named fact, its further lines below its text, as it indents them."""
    first, *rest = text.split("\n")
    lines = [*_folded(f"  {name:<{_NAME}} ", first)]
    for line in rest:
        lines.extend(_folded(" " * _INDENT, line))
    return "\n".join(lines)


def row(name: str, text: str) -> str:
    """Return a named fact as one line for a pipe, and folded for a terminal."""
    if columns() is None:
        return f"  {name:<{_NAME}} {text}"
    return fact(name, text)


def folded(line: str) -> str:
    """Return a line as it is for a pipe, and for a terminal in lines that fit."""
    width = columns()
    if width is None:
        return line
    own = " " * (len(line) - len(line.lstrip()))
    deeper = textwrap.wrap(
        line.lstrip(), width, initial_indent=own, subsequent_indent=f"{own}  "
    )
    return "\n".join(deeper)


def cut(line: str, *, whole: bool) -> str:
    """Return a line, and of one that may be cut what a terminal has room for."""
    width = columns()
    if whole or width is None or len(line) <= width:
        return line
    return f"{line[: width - 3]}..."


def columns() -> int | None:
    """Return how wide the terminal is, None where a pipe or a file takes any width."""
    if not is_terminal(sys.stdout):
        return None
    return shutil.get_terminal_size().columns


def _folded(start: str, line: str) -> Iterator[str]:
    """Yield a line in pieces; what is indented by itself goes on a little deeper.

    A command stays in one piece, so that it can be copied.
    """
    own = len(line) - len(line.lstrip())
    deeper = own + 2 if own else 0
    pieces = textwrap.wrap(
        _COMMAND.sub(_unbroken, line),
        width=min(WIDTH, columns() or WIDTH),
        initial_indent=start,
        subsequent_indent=" " * (_INDENT + deeper),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from (piece.replace(_NO_BREAK, " ") for piece in pieces)
    if not pieces:
        yield start.rstrip()


def _unbroken(command: re.Match[str]) -> str:
    return command[0].replace(" ", _NO_BREAK)
