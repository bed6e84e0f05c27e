"""Two formats of a log, JSON lines and CSV, as tables of one shape."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, cast

from flipback.plan import nearest
from flipback.replay._source import Line, Source
from flipback.replay._troubles import MEANING, LogError, Remarks, Trouble


Columns = Mapping[str, str]
"""Column of a CSV file by field: `t`, `cohort.plan`, `metric.error` and so on."""

FIELDS = ("id", "t", "subject", "variant", "weight", "rule", "epoch", "of")
TABLES = ("cohort", "metric", "paired")
_NEEDED = ("t", "subject", "variant")


class Raw(NamedTuple):
    """A row as it was written.

    Attributes:
        line: Its line number.
        table: Its fields; None where it could not be read, which was noted.
    """

    line: int
    table: Mapping[str, object] | None


def is_field(name: str) -> bool:
    """Return whether a column of a CSV file can mean this."""
    table, dot, rest = name.partition(".")
    if table == "paired":
        return all(rest.partition("."))
    return name in FIELDS or (table in TABLES and bool(dot and rest))


def raw_rows(
    source: Source, columns: Columns | None, remarks: Remarks
) -> Iterator[Raw]:
    """Yield every row of a log, in whichever format it is.

    Args:
        source: The log; CSV is told by its name, or by a first line that is no JSON.
        columns: Which column means what; those that are not named here are taken by
            their own names. Not None means CSV.
        remarks: Where to note what cannot be read.

    Raises:
        LogError: The log is empty, or lacks a column.
    """
    lines = source.lines(remarks)
    first = next(lines, None)
    if first is None:
        raise LogError(_nothing_in(source, remarks))
    everything = chain([first], lines)
    if columns is None and not _looks_like_csv(source, first):
        return _json_rows(everything, remarks)
    return _csv_rows(source, everything, columns or {}, remarks)


def _nothing_in(source: Source, remarks: Remarks) -> str:
    for remark in remarks.all:
        words, remedy, _ = MEANING[remark.trouble]
        return f"{source.name}:{remark.line}: {words}; {remedy}"
    return f"{source.name}: is empty; name a log that has rows"


def _looks_like_csv(source: Source, first: Line) -> bool:
    name = source.name.removesuffix(".gz")
    if name.endswith((".csv", ".json", ".jsonl", ".ndjson")):
        return name.endswith(".csv")
    text = (first.text or "{").lstrip()
    return not text.startswith("{") and "," in text


def _json_rows(lines: Iterable[Line], remarks: Remarks) -> Iterator[Raw]:
    for number, text, whole in lines:
        table = None if text is None else _object(text)
        if table is None and text is not None:
            cut = not whole and not text.rstrip().endswith("}")
            remarks.note(Trouble.HALF_WRITTEN if cut else Trouble.NO_ROW, number)
        yield Raw(number, table)


def _object(text: str) -> Mapping[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None


class _Feed:
    """Lines for the csv module, which remembers where it is."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self.number = 0
        self.whole = True
        self.unreadable: list[int] = []

    def __iter__(self) -> Iterator[str]:
        for number, text, whole in self._lines:
            self.number, self.whole = number, whole
            if text is None:
                self.unreadable.append(number)
            else:
                yield text


class _Header(NamedTuple):
    """Where the fields are: their places, each with table and name inside it."""

    width: int
    fields: tuple[tuple[int, str], ...]
    tables: tuple[tuple[int, str, str], ...]

    def table(self, cells: Sequence[str]) -> Mapping[str, object]:
        """Return a row in the shape of a JSON line; empty cells say nothing."""
        row: dict[str, object] = {
            name: cells[at] for at, name in self.fields if cells[at] != ""
        }
        nested: dict[str, dict[str, object]] = {}
        for at, table, name in self.tables:
            if cells[at] != "":
                nested.setdefault(table, {})[name] = cells[at]
        row["cohorts"] = nested.pop("cohort", {})
        row["metrics"] = nested.pop("metric", {})
        if nested:
            row["paired"] = nested
        return row


def _csv_rows(
    source: Source, lines: Iterable[Line], columns: Columns, remarks: Remarks
) -> Iterator[Raw]:
    feed = _Feed(lines)
    reader = csv.reader(feed)
    header: _Header | None = None
    while True:
        at = feed.number
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            remarks.note(Trouble.NO_ROW, at + 1)
            yield Raw(at + 1, None)
            continue
        yield from (Raw(number, None) for number in feed.unreadable)
        feed.unreadable.clear()
        if header is None:
            header = _header(f"{source.name}:{feed.number}", cells, columns)
        else:
            yield _csv_row(header, cells, feed, remarks)
    yield from (Raw(number, None) for number in feed.unreadable)


def _csv_row(
    header: _Header, cells: Sequence[str], feed: _Feed, remarks: Remarks
) -> Raw:
    if len(cells) == header.width:
        return Raw(feed.number, header.table(cells))
    cut = not feed.whole and len(cells) < header.width
    remarks.note(Trouble.HALF_WRITTEN if cut else Trouble.NO_ROW, feed.number)
    return Raw(feed.number, None)


def _header(where: str, names: Sequence[str], columns: Columns) -> _Header:
    """Return where the fields are, as mapped or by their own names."""
    names = [name.strip() for name in names]
    meant = dict(columns)
    for name in names:
        if is_field(name) and name not in columns.values():
            meant.setdefault(name, name)
    for field in _NEEDED:
        meant.setdefault(field, field)
    places = {field: _place(where, names, *each) for field, *each in _pairs(meant)}
    return _Header(
        width=len(names),
        fields=tuple((at, field) for field, at in places.items() if field in FIELDS),
        tables=tuple(
            (at, *_nested(field)) for field, at in places.items() if "." in field
        ),
    )


def _pairs(meant: Columns) -> Iterator[tuple[str, str, str]]:
    return ((field, field, column) for field, column in meant.items())


def _nested(field: str) -> tuple[str, str]:
    """Return the table of the row that a field is in, and its name there."""
    table, _, name = field.partition(".")
    if table != "paired":
        return table, name
    variant, _, metric = name.rpartition(".")
    return variant, metric


def _place(where: str, names: Sequence[str], field: str, column: str) -> int:
    if column in names:
        return names.index(column)
    known = f"the columns are: {', '.join(names)}"
    raise LogError(
        f"{where}: there is no column {column!r} for `{field}`; say which one it is by "
        f"--columns {field}=NAME; {nearest(column, names, otherwise=known)}"
    )
