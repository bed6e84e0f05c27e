"""Two formats of a log, JSON lines and CSV, as tables of one shape."""

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Self, cast

from flipback.plan import nearest
from flipback.replay._source import Line, Source
from flipback.replay._troubles import MEANING, LogError, Remarks, Trouble


Columns = Mapping[str, str]
"""Column of a CSV file by field: `t`, `cohort.plan`, `metric.error` and so on."""

FIELDS = ("id", "t", "subject", "variant", "weight", "rule", "epoch", "of")
TABLES = ("cohort", "metric", "paired")
_LONGEST_NAME = 80
_MOST_LISTED = 40
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
    if columns is not None and _looks_like_json(first):
        raise LogError(
            f"{source.name}:{first.number}: is JSON, and --columns is about CSV; leave "
            "it out, and name the keys as a row does"
        )
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
    return not _looks_like_json(first) and "," in (first.text or "")


def _looks_like_json(first: Line) -> bool:
    return first.text is not None and first.text.lstrip().startswith(("{", "["))


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
    """Lines for the csv module, of which a row may take several.

    Attributes:
        taken: Lines of the row that is being read.
        unreadable: Numbers of lines that are no text, since they were last told.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._returned: deque[Line] = deque()
        self.taken: list[Line] = []
        self.unreadable: list[int] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            line = self._returned.popleft() if self._returned else next(self._lines)
            if line.text is not None:
                self.taken.append(line)
                return line.text
            self.unreadable.append(line.number)

    def give_back(self) -> None:
        """Keep only the first line of a row: a stray quote has taken the others."""
        self._returned.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


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
    header: _Header | None = None
    for cells in _records(feed):
        yield from (Raw(number, None) for number in feed.unreadable)
        feed.unreadable.clear()
        if header is None and cells is not None:
            header = _header(f"{source.name}:{feed.taken[0].number}", cells, columns)
            _unused(header, cells, feed.taken[0].number, remarks)
        elif feed.taken:
            yield _csv_row(header, cells, feed, remarks)
    yield from (Raw(number, None) for number in feed.unreadable)


def _records(feed: _Feed) -> Iterator[Sequence[str] | None]:
    """Yield the cells of each row, None where it has none that can be read."""
    reader = csv.reader(feed)
    while True:
        feed.taken.clear()
        try:
            yield next(reader)
        except csv.Error:
            yield None
        except StopIteration:
            return


def _csv_row(
    header: _Header | None,
    cells: Sequence[str] | None,
    feed: _Feed,
    remarks: Remarks,
) -> Raw:
    first = feed.taken[0]
    if header and cells is not None and len(cells) == header.width:
        return Raw(first.number, header.table(cells))
    feed.give_back()
    cut = not first.whole
    remarks.note(Trouble.HALF_WRITTEN if cut else Trouble.NO_ROW, first.number)
    return Raw(first.number, None)


def _unused(header: _Header, names: Sequence[str], line: int, remarks: Remarks) -> None:
    """Note the columns that mean nothing."""
    used = {at for at, *_ in (*header.fields, *header.tables)}
    for at, name in enumerate(names):
        if at not in used:
            remarks.note(Trouble.UNKNOWN_FIELD, line, name.strip())


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
    listed = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_LISTED])
    known = f"the columns are: {listed}"
    if len(names) == 1:
        known = f"there is one column, {listed!r}; separate cells by commas"
    raise LogError(
        f"{where}: there is no column {column!r} for `{field}`; say which one it is by "
        f"--columns {field}=NAME; {nearest(column, names, otherwise=known)}"
    )
