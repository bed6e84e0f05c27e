"""A ledger and its copy where they differ: one order of both, and what was edited."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flipback.ports import LedgerEntry


_FIELDS = TypeAdapter(dict[str, object])
_CHAIN = frozenset({"digest", "previous"})
_LONGEST = 80
_MOST = 20


def in_order(
    entries: Sequence[LedgerEntry], rescued: Sequence[LedgerEntry]
) -> Sequence[LedgerEntry]:
    """Return entries of the ledger and those that only the copy has, the newest last.

    By number; a ledger that began anew has the same numbers again, and there it is the
    time that counts, each chain in its own order.
    """
    both = {entry.number for entry in entries} & {copy.number for copy in rescued}
    if not both:
        return sorted((*entries, *rescued), key=lambda entry: entry.number)
    merged: list[LedgerEntry] = []
    left, right = list(rescued), list(entries)
    while left and right:
        first = left if _at(left[0]) <= _at(right[0]) else right
        merged.append(first.pop(0))
    return [*merged, *left, *right]


def edits_of(path: Path, copies: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield what edited lines say now and what their copies say, a field each."""
    known = {copy.number: _fields(copy) for copy in copies}
    told = 0
    for line in _lines(path):
        number = line.get("number")
        copy = known.get(number) if isinstance(number, int) else None
        if copy is None or line == copy or not _is_edited(line, copy):
            continue
        told += 1
        if told > _MOST:
            yield "and further entries"
            return
        yield from _differences(line, copy)


def _is_edited(line: Mapping[str, object], copy: Mapping[str, object]) -> bool:
    """Return whether it is this entry that was edited, and not another chain's."""
    same = line.get("previous") == copy["previous"] and line.get("at") == copy["at"]
    return same or line.get("digest") == copy["digest"]


def _differences(
    line: Mapping[str, object], copy: Mapping[str, object]
) -> Iterator[str]:
    for name in sorted({*line, *copy} - _CHAIN):
        now, then = line.get(name), copy.get(name)
        if now != then:
            said = f"now {_short(now)}, in the copy {_short(then)}"
            yield f"entry {copy['number']}, {name}: {said}"


def _lines(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        content = path.read_bytes()
    except OSError:
        return
    for line in content.split(b"\n"):
        try:
            yield _FIELDS.validate_json(line)
        except ValidationError:
            continue


def _fields(entry: LedgerEntry) -> Mapping[str, object]:
    """Return an entry as JSON has it."""
    return _FIELDS.validate_python(json.loads(json.dumps(asdict(entry))))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _at(entry: LedgerEntry) -> float:
    """Return when, for comparison; what is no time comes first."""
    try:
        at = datetime.fromisoformat(entry.at)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return -inf
