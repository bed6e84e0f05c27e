"""Whether a ledger is whole: by itself, and beside its copy in the store.

It finds edits, gaps, and entries missing at the end. It does not stop somebody who
rewrites both the ledger and its copy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flipback.ports import LedgerEntry
from flipback.stores._lines import digest_of, entry_of, fields_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A place where a ledger is not as it was written.

    Attributes:
        number: The entry that it is about, 0 where a line is no entry.
        problem: What is wrong, for people.
    """

    number: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What can be read of a ledger file, however broken it is.

    Attributes:
        entries: Entries that match their digest, in the order of the file.
        breaks: Lines that are none.
    """

    entries: tuple[LedgerEntry, ...] = ()
    breaks: tuple[Break, ...] = ()


def survey(content: bytes) -> Survey:
    """Return all that can be read of a ledger file.

    What follows the last good line and is no JSON was never acknowledged: it is no
    break.
    """
    entries: list[LedgerEntry] = []
    breaks: list[Break] = []
    torn: list[Break] = []
    for place, line in enumerate(content.split(b"\n"), start=1):
        fields = fields_of(line) if line else None
        if fields is not None:
            breaks.extend(torn)
            torn.clear()
            _collect(fields, place, entries, breaks)
        elif line:
            torn.append(Break(number=0, problem=f"line {place} is no ledger entry"))
    return Survey(entries=tuple(entries), breaks=tuple(breaks))


def verify(
    entries: Sequence[LedgerEntry], copies: Sequence[LedgerEntry]
) -> tuple[Break, ...]:
    """Return where a ledger is not whole, or not what its copy is.

    Entries of which there is no copy yet are in order; so is no ledger at all.

    Args:
        entries: The entries of the ledger, each known to match its digest.
        copies: Their copies in the store, by number.
    """
    return (*_chain(entries), *_gaps(copies), *_beside(entries, copies))


def _collect(
    fields: Mapping[str, object],
    place: int,
    entries: list[LedgerEntry],
    breaks: list[Break],
) -> None:
    number = fields.get("number")
    named = number if isinstance(number, int) else 0
    entry = entry_of(fields)
    if fields.get("digest") != digest_of(fields):
        breaks.append(Break(number=named, problem=_line(place, "was changed")))
    elif entry is None:
        why = "was written by a later version of flipback; upgrade flipback to read it"
        breaks.append(Break(number=named, problem=_line(place, why)))
    else:
        entries.append(entry)


def _line(place: int, problem: str) -> str:
    return f"line {place} {problem}"


def _chain(entries: Sequence[LedgerEntry]) -> Iterator[Break]:
    number, digest = 0, ""
    for entry in entries:
        if entry.number > number + 1:
            gone = _span(number + 1, entry.number - 1)
            yield Break(number=number + 1, problem=f"{gone} missing in the ledger")
        elif entry.number <= number:
            problem = f"entry {entry.number} stands behind entry {number}"
            yield Break(number=entry.number, problem=problem)
            continue
        elif entry.previous != digest:
            problem = f"entry {entry.number} does not follow the entry before"
            yield Break(number=entry.number, problem=problem)
        number, digest = entry.number, entry.digest


def _gaps(copies: Sequence[LedgerEntry]) -> Iterator[Break]:
    number = 0
    for copy in copies:
        if copy.number > number + 1:
            gone = _span(number + 1, copy.number - 1)
            yield Break(number=number + 1, problem=f"{gone} missing in the store")
        number = copy.number


def _beside(
    entries: Sequence[LedgerEntry], copies: Sequence[LedgerEntry]
) -> Iterator[Break]:
    known = {entry.number: entry for entry in entries}
    last = max(known, default=0)
    for copy in copies:
        entry = known.get(copy.number)
        if entry is not None and entry.digest != copy.digest:
            problem = f"differs from its copy in the store from entry {copy.number} on"
            yield Break(number=copy.number, problem=f"the ledger {problem}")
            break
        if entry is not None and entry != copy:
            problem = f"the copy of entry {copy.number} in the store was changed"
            yield Break(number=copy.number, problem=problem)
    if copies and copies[-1].number > last:
        ends = f"it ends at entry {last}, the copy at entry {copies[-1].number}"
        problem = f"the ledger is shorter than its copy in the store: {ends}"
        yield Break(number=last + 1, problem=problem)


def _span(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
