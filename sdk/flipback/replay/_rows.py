"""Rows of a log: exposures, and outcomes that came later."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import NamedTuple, cast

from flipback.assignment import NO_VALUE, OTHER_VALUE, Cohort
from flipback.exposure import MAX_VALUE
from flipback.plan import RolloutPlan
from flipback.replay._formats import FIELDS, Raw
from flipback.replay._troubles import LogError, Remarks, Trouble


Table = Mapping[str, object]
Values = tuple[tuple[str, float], ...]
"""Metrics with their values, finite."""

_LATEST = 95_617_584_000.0
_TRUTHS = {"true": 1.0, "false": 0.0}
_PERCENT = 100.0
_NUMBERS = (int, float)
_KEYS = frozenset({*FIELDS, "cohorts", "metrics", "paired"})

MOST_EPOCHS = 10_000
"""Epochs of a log, by rule; one with more names rows and not what they share."""


class Origin(NamedTuple):
    """An exposure, as much as its outcomes need.

    Attributes:
        line: Its line number in the log.
        at: Unix seconds.
        subject: Hash of the subject, 64 bits.
        variant: Who served, as logged.
        cohorts: Of the plan's attributes, aggregate not named.
        rule: The rule that split, empty where the log names none.
        epoch: As logged, or named by the weight.
        weight: Percent of subjects that are given the candidate, None if not known.
        paired: Whether both arms answered, so that it is no exposure of a split.
    """

    line: int
    at: float
    subject: int
    variant: str
    cohorts: tuple[Cohort, ...]
    rule: str
    epoch: str
    weight: float | None
    paired: bool = False

    @property
    def share(self) -> float | None:
        """Return the candidate's share of subjects."""
        return None if self.weight is None else self.weight / _PERCENT


class PairOf(NamedTuple):
    """A metric of one call that both arms answered."""

    metric: str
    control: float
    candidate: float


class Exposed(NamedTuple):
    """A row that is an exposure, or a call that both arms answered.

    Attributes:
        id: Empty where the log names none.
        metrics: Of the variant that served; empty if there are pairs.
    """

    id: str
    origin: Origin
    metrics: Values
    pairs: tuple[PairOf, ...]


class Late(NamedTuple):
    """A row that is an outcome of an exposure before it."""

    line: int
    at: float
    of: str
    metrics: Values


class Excluded(NamedTuple):
    """An exposure that is not compared, for a reason that an application has too."""

    reason: str


Row = Exposed | Late | Excluded


class RowReader:
    """Turns tables into rows, and notes what is wrong with them.

    Args:
        plan: Whose variants, cohorts and metrics count.
        remarks: Where to note troubles.
        log: The log's name, for messages.
        subject: The hash of a targeting key, 64 bits.
        weight: Percent of subjects that are given the candidate where a row does
            not say.
    """

    def __init__(
        self,
        plan: RolloutPlan,
        remarks: Remarks,
        *,
        log: str,
        subject: Callable[[str], int],
        weight: float | None = None,
    ) -> None:
        self._arms = plan.control, plan.candidate
        self._cohorts = tuple(
            (name, {value: f"{name}={value}" for value in values})
            for name, values in plan.cohorts.items()
        )
        self._recorded = plan.recorded
        self._remarks = remarks
        self._log = log
        self._subject = subject
        self._weight = weight
        self._latest = float("-inf")
        self._weights: dict[tuple[str, str], float | None] = {}

    def row(self, raw: Raw) -> Row | None:
        """Return the row, None where it is left out; why is noted.

        Raises:
            LogError: There are too many epochs to compare anything in them.
        """
        line, table = raw
        if table is None:
            return None
        at = self._time(line, table.get("t"))
        if at is None:
            return None
        of = table.get("of")
        if of is not None:
            return self._late(line, at, of, table)
        origin = self._origin(line, at, table)
        if not isinstance(origin, Origin):
            return origin
        return self._exposed(line, origin, table)

    def _exposed(self, line: int, origin: Origin, table: Table) -> Exposed | None:
        name = self._name(line, table.get("id"))
        if name is None:
            return None
        self._in_order(line, origin.at)
        self._known(line, table)
        metrics = self._values(line, table.get("metrics"))
        pairs = self._pairs(line, table["paired"]) if table.get("paired") else ()
        if not pairs:
            return Exposed(name, origin, metrics, ())
        compared = {pair.metric for pair in pairs}
        for metric, _ in metrics:
            if metric not in compared:
                self._remarks.note(Trouble.OF_ONE, line, metric)
        return Exposed(name, origin._replace(paired=True), (), pairs)

    def _known(self, line: int, table: Table) -> None:
        if not table.keys() <= _KEYS:
            for key in sorted(table.keys() - _KEYS):
                self._remarks.note(Trouble.UNKNOWN_FIELD, line, key)

    def _late(self, line: int, at: float, of: object, table: Table) -> Late | None:
        name = self._name(line, of)
        if name is None:
            return None
        self._in_order(line, at)
        self._known(line, table)
        return Late(line, at, name, self._values(line, table.get("metrics")))

    def _origin(self, line: int, at: float, table: Table) -> Origin | Excluded | None:
        variant = self._name(line, table.get("variant"))
        subject = self._name(line, table.get("subject"))
        if variant is None or subject is None:
            return None
        if not variant:
            self._remarks.note(Trouble.NO_VARIANT, line)
            return None
        trouble = self._not_compared(variant, subject)
        if trouble is not None:
            named = variant if trouble is Trouble.OTHER_VARIANT else ""
            self._remarks.note(trouble, line, named)
            return Excluded(trouble)
        return self._compared(line, at, table, variant, subject)

    def _not_compared(self, variant: str, subject: str) -> Trouble | None:
        if variant not in self._arms:
            return Trouble.OTHER_VARIANT
        return None if subject else Trouble.NO_SUBJECT

    def _compared(
        self, line: int, at: float, table: Table, variant: str, subject: str
    ) -> Origin | None:
        cohorts = self._cohorts_of(line, table.get("cohorts"))
        rule = self._name(line, table.get("rule"))
        epoch = self._name(line, table.get("epoch"))
        try:
            weight = self._percent(table.get("weight"))
        except ValueError:
            self._remarks.note(Trouble.BAD_WEIGHT, line)
            return None
        if cohorts is None or rule is None or epoch is None:
            return None
        if not epoch and weight is not None:
            epoch = f"weight {weight:.12g}"
        self._open(line, epoch, rule, weight)
        hashed = self._subject(subject)
        return Origin(line, at, hashed, variant, cohorts, rule, epoch, weight)

    def _open(self, line: int, epoch: str, rule: str, weight: float | None) -> None:
        if self._weights.setdefault((epoch, rule), weight) != weight:
            self._remarks.note(Trouble.RAMPED, line, epoch)
        if len(self._weights) > MOST_EPOCHS:
            raise LogError(
                f"{self._log}:{line}: more than {MOST_EPOCHS:,} epochs, of `epoch`, "
                f"`rule` and `weight` together, the last is {epoch!r}; write what was "
                "the same for many rows, such as the version of the flag"
            )

    def _percent(self, written: object) -> float | None:
        if written is None:
            return self._weight
        percent = number(written)
        if not 0 <= percent <= _PERCENT:
            raise ValueError("no percentage")
        return percent

    def _time(self, line: int, written: object) -> float | None:
        at = written if type(written) is float else seconds(written)
        if at is None or not isfinite(at):
            self._remarks.note(Trouble.NO_TIME, line)
            return None
        if abs(at) > _LATEST:
            self._remarks.note(Trouble.MILLISECONDS, line)
            return None
        return at

    def _in_order(self, line: int, at: float) -> None:
        if at < self._latest:
            self._remarks.note(Trouble.BACKWARDS, line)
        else:
            self._latest = at

    def _name(self, line: int, written: object) -> str | None:
        """Return a name, empty if there is none, None if it cannot be one."""
        if type(written) is str:
            return written
        if written is None:
            return ""
        if _is_finite(written):
            return str(written)
        self._remarks.note(Trouble.BAD_NAME, line)
        return None

    def _cohorts_of(self, line: int, written: object) -> tuple[Cohort, ...] | None:
        if written is not None and not isinstance(written, dict):
            self._remarks.note(Trouble.BAD_COHORTS, line)
            return None
        given = cast("Table", written or {})
        return tuple(
            [
                _cohort(name, declared, given.get(name))
                for name, declared in self._cohorts
            ]
        )

    def _values(self, line: int, written: object) -> Values:
        if written is None:
            return ()
        if not isinstance(written, dict):
            self._remarks.note(Trouble.BAD_METRICS, line)
            return ()
        found: list[tuple[str, float]] = []
        for metric, value in cast("Table", written).items():
            if metric not in self._recorded:
                self._remarks.note(Trouble.UNKNOWN_METRIC, line, metric)
            elif isinstance(value, _NUMBERS) and -MAX_VALUE <= value <= MAX_VALUE:
                found.append((metric, float(value)))
            elif value is not None:
                self._add(found, line, metric, value)
        return tuple(found)

    def _add(
        self, found: list[tuple[str, float]], line: int, metric: str, value: object
    ) -> None:
        try:
            found.append((metric, number(value)))
        except ValueError:
            self._remarks.note(Trouble.BAD_VALUE, line, metric)

    def _pairs(self, line: int, written: object) -> tuple[PairOf, ...]:
        tables = cast("Table", written if isinstance(written, dict) else {})
        control, candidate = (tables.get(variant) for variant in self._arms)
        if not isinstance(control, dict) or not isinstance(candidate, dict):
            self._remarks.note(Trouble.BAD_PAIR, line)
            return ()
        left = dict(self._values(line, cast("Table", control)))
        right = dict(self._values(line, cast("Table", candidate)))
        for metric in left.keys() ^ right.keys():
            self._remarks.note(Trouble.BAD_PAIR, line, metric)
        return tuple(
            PairOf(metric, value, right[metric])
            for metric, value in left.items()
            if metric in right
        )


def number(written: object) -> float:
    """Return a value as a float; truth values are 0 and 1.

    Raises:
        ValueError: It is none, not finite or too large to be squared.
    """
    value = float("nan")
    if isinstance(written, int | float):
        value = _as_float(written)
    elif isinstance(written, str):
        truth = _TRUTHS.get(written.strip().lower())
        value = float(written) if truth is None else truth
    if not -MAX_VALUE <= value <= MAX_VALUE:
        raise ValueError("no number, not finite, or too large")
    return value


def seconds(written: object) -> float | None:
    """Return Unix seconds, None where this says no time; without a zone it is UTC."""
    if isinstance(written, bool) or written is None:
        return None
    if isinstance(written, int | float):
        return _as_float(written)
    if not isinstance(written, str):
        return None
    try:
        return float(written)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(written.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_finite(written: object) -> bool:
    if isinstance(written, bool) or not isinstance(written, int | float):
        return False
    return isfinite(_as_float(written))


def _as_float(written: float) -> float:
    try:
        return float(written)
    except OverflowError:
        return float("inf")


def _cohort(name: str, declared: Mapping[str, Cohort], value: object) -> Cohort:
    """Name a cohort as the router does; see `flipback.assignment`."""
    if type(value) is str:
        return declared.get(value) or f"{name}={OTHER_VALUE}"
    if value is None:
        return f"{name}={NO_VALUE}"
    spelled = str(value).lower() if isinstance(value, bool) else str(value)
    return declared.get(spelled, f"{name}={OTHER_VALUE}")
