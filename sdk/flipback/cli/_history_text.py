"""Entries of the ledger for people."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from flipback.cli._page import WIDTH, columns
from flipback.cli._shell import plain
from flipback.ports import LedgerEntry


_INDENT = " " * 8
_LONGEST_VERSION = 12
_KB = 1000


def entry_text(entry: LedgerEntry, *, rescued: bool) -> str:
    """Return an entry: number, time, kind, route and who; below it what and why.

    Args:
        entry: What to tell.
        rescued: The ledger has lost it; this is the store's copy.
    """
    kind = entry.kind.replace("_", " ")
    head = f"{entry.number:>6}  {_time(entry.at)}  {kind:<10} {entry.route}"
    by = f"  by {entry.actor}" if entry.actor else ""
    lines = [plain(f"{head}{by}")]
    for line in _lines(entry):
        lines.extend(folded(line, indent=_INDENT))
    if rescued:
        lost = "not in the ledger any more: this is the store's copy"
        lines.extend(folded(lost, indent=_INDENT))
    return "\n".join(lines)


def folded(line: str, *, indent: str) -> list[str]:
    """Return a line in pieces that fit the terminal, further ones a little deeper."""
    return textwrap.wrap(
        plain(line),
        width=min(WIDTH, columns() or WIDTH),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(entry: LedgerEntry) -> Iterator[str]:
    latch = entry.latch
    trip = f"trip {latch.trip}: " if latch is not None else ""
    yield from (trip + entry.note).splitlines()
    if entry.attempt:
        stage = "" if entry.stage is None else f", stage {entry.stage + 1}"
        yield f"attempt {entry.attempt}{stage}"
    if entry.before or entry.after:
        before, after = map(_version, (entry.before, entry.after))
        yield f"flag: {before} -> {after}"
    if entry.snapshot:
        size = len(entry.snapshot.encode(errors="replace")) / _KB
        yield f"the flag before is kept, {size:.1f} kB"
    for finding in _told_apart(entry):
        yield f"- {finding}"


def _told_apart(entry: LedgerEntry) -> Sequence[str]:
    """Return the findings that the reason of the entry has not told already."""
    return [finding for finding in entry.findings if finding not in entry.note]


def _version(version: str) -> str:
    if len(version) <= _LONGEST_VERSION:
        return version or "unknown"
    return f"{version[:_LONGEST_VERSION]}..."


def _time(at: str) -> str:
    """Return a time to the second in UTC; as it was written where it is none."""
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        return at
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
