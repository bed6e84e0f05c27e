"""How text fits a terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterator

from flipback.cli._shell import is_terminal


WIDTH = 100
"""Columns that facts are wrapped to, if the terminal has as many."""

_NAME = 10
_INDENT = 3 + _NAME


def fact(name: str, text: str) -> str:
    """Return a named fact, its further lines below its text, as it indents them."""
    first, *rest = text.split("\n")
    lines = [*_folded(f"  {name:<{_NAME}} ", first)]
    for line in rest:
        lines.extend(_folded(" " * _INDENT, line))
    return "\n".join(lines)


def columns() -> int | None:
    """Return how wide the terminal is, None where a pipe or a file takes any width."""
    if not is_terminal(sys.stdout):
        return None
    return shutil.get_terminal_size().columns


def _folded(start: str, line: str) -> Iterator[str]:
    """Yield a line in pieces; what is indented by itself goes on a little deeper."""
    own = len(line) - len(line.lstrip())
    deeper = own + 2 if own else 0
    yield from textwrap.wrap(
        line,
        width=min(WIDTH, columns() or WIDTH),
        initial_indent=start,
        subsequent_indent=" " * (_INDENT + deeper),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]
