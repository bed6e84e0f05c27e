"""What can be wrong in a log: named, counted, and where it was met first."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from flipback.errors import FlipbackError


_MAX_NAMED = 20


class LogError(FlipbackError):
    """A log cannot be replayed; says file, line, what is wrong and what to do."""


class Trouble(StrEnum):
    """Something in a log that is not as it should be."""

    NOT_UTF8 = "not_utf8"
    TOO_LONG = "line_too_long"
    NO_ROW = "not_a_row"
    HALF_WRITTEN = "half_written"
    CUT_OFF = "archive_cut_off"
    NO_TIME = "no_time"
    MILLISECONDS = "time_in_milliseconds"
    NO_SUBJECT = "targeting_key_missing"
    NO_VARIANT = "no_variant"
    OTHER_VARIANT = "other_variant"
    BAD_WEIGHT = "bad_weight"
    BAD_NAME = "bad_name"
    BAD_COHORTS = "bad_cohorts"
    DUPLICATE = "duplicate_id"
    UNKNOWN_ID = "outcome_of_unknown_id"
    REPEATED = "outcome_repeated"
    BAD_METRICS = "bad_metrics"
    BAD_VALUE = "bad_value"
    BAD_PAIR = "bad_pair"
    OF_ONE = "paired_in_one_arm"
    LATE_OF_ONE = "outcome_of_a_paired_call"
    UNKNOWN_METRIC = "unknown_metric"
    UNKNOWN_FIELD = "unknown_field"
    BACKWARDS = "time_runs_backwards"
    RAMPED = "weight_changes_in_epoch"


class Meaning(NamedTuple):
    """What a trouble means.

    Attributes:
        words: What is wrong, as in `3 rows: <words>`.
        remedy: What became of it, or what to do.
        excludes: Whether the row is left out for it.
    """

    words: str
    remedy: str
    excludes: bool = True


MEANING = {
    Trouble.NOT_UTF8: Meaning("not UTF-8 text", "convert the log: `iconv -t UTF-8`"),
    Trouble.TOO_LONG: Meaning("longer than 1 MiB", "write one row per line"),
    Trouble.NO_ROW: Meaning(
        "no row", "write one JSON object per line, or CSV with commas and a header"
    ),
    Trouble.HALF_WRITTEN: Meaning(
        "the last line is half-written", "its writer was stopped, or still writes"
    ),
    Trouble.CUT_OFF: Meaning(
        "the archive ends too early or is damaged; what follows is not read",
        "fetch it again",
    ),
    Trouble.NO_TIME: Meaning(
        "no time in `t`", "write Unix seconds or ISO 8601, as 2026-01-31T09:30:00Z"
    ),
    Trouble.MILLISECONDS: Meaning(
        "`t` is later than the year 5000", "write Unix seconds, not milliseconds"
    ),
    Trouble.NO_SUBJECT: Meaning(
        "no `subject`, so nobody was randomised", "write the targeting key"
    ),
    Trouble.NO_VARIANT: Meaning("no `variant`", "write who served"),
    Trouble.OTHER_VARIANT: Meaning(
        "a variant that is neither control nor candidate of the plan",
        "it is not compared",
    ),
    Trouble.BAD_WEIGHT: Meaning(
        "`weight` is no percentage", "write the candidate's share from 0 to 100"
    ),
    Trouble.BAD_NAME: Meaning(
        "`id`, `of`, `subject`, `variant`, `rule` or `epoch` is neither text nor a "
        "number",
        "write it as text",
    ),
    Trouble.BAD_COHORTS: Meaning(
        "`cohorts` is no table of attributes", 'write {"plan": "free"}'
    ),
    Trouble.DUPLICATE: Meaning("an `id` that was there before", "the first one stands"),
    Trouble.UNKNOWN_ID: Meaning(
        "an outcome `of` an id that no row before it has, or one that was left out",
        "write the exposure first",
    ),
    Trouble.REPEATED: Meaning(
        "an outcome that was there before", "the first one stands", excludes=False
    ),
    Trouble.BAD_METRICS: Meaning(
        "`metrics` is no table of numbers", 'write {"error": 0}', excludes=False
    ),
    Trouble.BAD_VALUE: Meaning(
        "a value is no finite number below 1e100",
        "it is left out; write a number, or true or false",
        excludes=False,
    ),
    Trouble.BAD_PAIR: Meaning(
        "`paired` does not give a number for both control and candidate",
        'write {"v1": {"score": 0.8}, "v2": {"score": 0.7}}',
        excludes=False,
    ),
    Trouble.OF_ONE: Meaning(
        "a metric beside `paired` that is not in it for both",
        "it is left out, as such a call is only compared with itself",
        excludes=False,
    ),
    Trouble.LATE_OF_ONE: Meaning(
        "a later outcome of a call that both answered",
        "write it in `paired`, for both",
    ),
    Trouble.UNKNOWN_FIELD: Meaning(
        "a name that says nothing here",
        "it is ignored; see the fields of a row, and --columns",
        excludes=False,
    ),
    Trouble.UNKNOWN_METRIC: Meaning(
        "a metric that the plan does not know", "it is ignored", excludes=False
    ),
    Trouble.BACKWARDS: Meaning(
        "earlier than a row before it",
        "it is used; sort the log by `t`",
        excludes=False,
    ),
    Trouble.RAMPED: Meaning(
        "the weight changes within an `epoch`, so a ramp is pooled",
        "name another epoch, or leave `epoch` out",
        excludes=False,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """How often one trouble was met, and where first.

    Attributes:
        trouble: What it is.
        count: How often.
        line: Line number of the first, from 1.
        names: What it was about, such as variants or metrics; at most 20.
    """

    trouble: Trouble
    count: int
    line: int
    names: tuple[str, ...] = ()


class Remarks:
    """Counts troubles; memory does not grow with their number."""

    def __init__(self) -> None:
        self._counts: dict[Trouble, int] = {}
        self._lines: dict[Trouble, int] = {}
        self._names: dict[Trouble, dict[str, None]] = {}

    def note(self, trouble: Trouble, line: int, name: str = "") -> None:
        """Count one trouble; `name` says what it was about."""
        self._counts[trouble] = self._counts.get(trouble, 0) + 1
        self._lines.setdefault(trouble, line)
        if name:
            named = self._names.setdefault(trouble, {})
            if len(named) < _MAX_NAMED:
                named.setdefault(name[:80])

    @property
    def all(self) -> tuple[Remark, ...]:
        """Return every trouble that was met, as they are listed in `Trouble`."""
        return tuple(
            Remark(
                trouble=trouble,
                count=self._counts[trouble],
                line=self._lines[trouble],
                names=tuple(self._names.get(trouble, ())),
            )
            for trouble in Trouble
            if trouble in self._counts
        )


def excluded_rows(remarks: Iterable[Remark]) -> int:
    """Return how many rows were left out."""
    return sum(each.count for each in remarks if MEANING[each.trouble].excludes)
