"""What a replay found."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from flipback.analysis import Analysis
from flipback.assignment import EVERYBODY, Cohort
from flipback.exposure import EXPOSURE, Evidence
from flipback.replay._binomial import Share
from flipback.replay._rows import Origin
from flipback.replay._troubles import Remark
from flipback.verdict import Finding, Gate


class Outcome(StrEnum):
    """What would have become of the rollout."""

    ROLL_BACK = "roll back"
    HOLD = "hold"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """A place in a log: a line, and the time that the log had reached there."""

    line: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The weight in force, as rows tell it.

    Attributes:
        weight: Percent of subjects, None where no row says.
        since: Time of the first row of this weight, Unix seconds.
        rows: How many rows there were of this rule, whatever the weight.
    """

    weight: float | None = None
    since: float = 0.0
    rows: int = 0

    @classmethod
    def after(cls, before: "Stage | None", origin: Origin) -> Self:
        """Return what is in force after one more row."""
        if before is None or before.weight != origin.weight:
            rows = 1 if before is None else before.rows + 1
            return cls(weight=origin.weight, since=origin.at, rows=rows)
        return cls(weight=before.weight, since=before.since, rows=before.rows + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one run ended.

    Attributes:
        outcome: What would have become of the rollout.
        where: Where it fell, or the end of the log.
        analysis: The last look.
        gate: Whether the weight in force could be left; None after a roll back.
        stage: The weight in force.
        evidence: All of it.
        looks: How often the evidence was looked at.
        observed: Exposures of the candidate, and calls that both arms answered.
        paused: Where people would first have been called, None if never.
        distrusted: Where the data first could not be trusted, None if never.
        worsened: How many values of the candidate were made worse.
    """

    outcome: Outcome
    where: Pointed
    analysis: Analysis
    gate: Gate | None
    stage: Stage
    evidence: Evidence
    looks: int
    observed: int
    paused: Pointed | None
    distrusted: Pointed | None
    worsened: int

    @property
    def decisive(self) -> Finding | None:
        """Return the finding that decided, None without a roll back."""
        if self.outcome is not Outcome.ROLL_BACK:
            return None
        return next(iter(self.analysis.broken), self.analysis.suspect)

    def exposures(self, variant: str, cohort: Cohort = EVERYBODY) -> int:
        """Return how often a variant had served until then."""
        return sum(
            cell.total_n
            for key, cell in self.evidence.cells.items()
            if (key.metric, key.cohort, key.variant) == (EXPOSURE, cohort, variant)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What was read of a log.

    Attributes:
        read: Lines that are not empty, without a header.
        exposures: Rows that are exposures and were used.
        outcomes: Rows that are outcomes that came later, and were used.
        remarks: What was wrong; rows of some kinds were left out for it.
        unseen: Metrics that the plan guards and no row has.
        unmet: Cohorts that the plan declares and no exposure is in.
        whole: Whether the log was read to its end.
    """

    read: int
    exposures: int
    outcomes: int
    remarks: tuple[Remark, ...]
    unseen: tuple[str, ...]
    unmet: tuple[Cohort, ...]
    whole: bool

    @property
    def used(self) -> int:
        """Return how many rows were used."""
        return self.exposures + self.outcomes

    @property
    def excluded(self) -> int:
        """Return how many rows were left out."""
        return self.read - self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a plan makes of a log."""

    ended: Ended
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What a plan makes of a log of which the arms were exchanged many times.

    Attributes:
        rolled_back: In how many runs.
        frozen: In how many the data could not be trusted at some look.
        causes: How often each metric and cohort was to blame, the most often first.
        candidates: Candidate exposures until the roll back, of each run with one.
        cohort: Those of them in the cohort of an added harm.
    """

    rolled_back: Share
    frozen: int
    causes: Mapping[tuple[str, Cohort], int]
    candidates: tuple[int, ...]
    cohort: tuple[int, ...]
    rows: Rows

    @property
    def median(self) -> int | None:
        """Return by how many candidate exposures half of all runs rolled back."""
        return _median(self.candidates, self.rolled_back.total)

    @property
    def median_of_cohort(self) -> int | None:
        """Return the same of exposures in the cohort of an added harm."""
        return _median(self.cohort, self.rolled_back.total)


def _median(known: tuple[int, ...], total: int) -> int | None:
    """Return the median of all runs; None where half of them never came to it."""
    place = (total - 1) // 2
    return sorted(known)[place] if place < len(known) else None
