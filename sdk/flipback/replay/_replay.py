"""Run a plan over a log, as it is or with its arms exchanged."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flipback.assignment import Cohort
from flipback.plan import RolloutPlan
from flipback.replay._arms import Harm, Shuffle, Worsening
from flipback.replay._binomial import Share
from flipback.replay._feed import Feed
from flipback.replay._formats import Columns, Raw, raw_rows
from flipback.replay._index import MOST_IN_MEMORY, Index
from flipback.replay._result import Ended, Outcome, Repeated, Replayed, Rows
from flipback.replay._rows import RowReader
from flipback.replay._run import Run
from flipback.replay._source import Source
from flipback.replay._watch import LOOK_EVERY


RUNS_AT_ONCE = 20
"""Runs that share one reading of the log; more take more memory."""

TELL_EVERY = 10_000


def _silent(_: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A plan, and how a log is to be read.

    Attributes:
        plan: What was promised.
        subject: The hash of a targeting key, 64 bits; it decides the buckets.
        columns: Which column of a CSV file means what; None where it is no CSV.
        weight: Percent of subjects that are given the candidate where rows do not
            say.
        every: Candidate exposures between looks, once there were 100.
        harm: What to add to the candidate's harm.
        seed: Of arms that are exchanged, and of harm that is added.
        most_ids: Ids that are kept in memory.
        progress: Called with the number of rows now and then.
    """

    plan: RolloutPlan
    subject: Callable[[str], int]
    columns: Columns | None = None
    weight: float | None = None
    every: int = LOOK_EVERY
    harm: Harm | None = None
    seed: int = 0
    most_ids: int = MOST_IN_MEMORY
    progress: Callable[[int], None] = _silent

    def once(self, source: Source) -> Replayed:
        """Run the log as it is, until it rolls back or ends.

        Raises:
            LogError: Nothing in it can be used.
        """
        run = Run(self.plan, worsening=self._worsening(0), every=self.every)
        rows = self._feed(source, [run], shuffled=False)
        return Replayed(ended=run.end(), rows=rows)

    def many(self, source: Source, runs: int) -> Repeated:
        """Run the log this often, each time with other arms.

        Args:
            source: A log that can be read again.
            runs: How often, at least 1.

        Raises:
            LogError: Nothing in it can be used, or no row says which share of
                subjects was given the candidate.
        """
        briefs: list[_Brief] = []
        read: list[Rows] = []
        for first in range(0, runs, RUNS_AT_ONCE):
            batch = [
                self._shuffled(number)
                for number in range(first, min(runs, first + RUNS_AT_ONCE))
            ]
            read.append(self._feed(source, batch, shuffled=True))
            briefs.extend(self._brief(run.end()) for run in batch)
        return _summed_up(briefs, max(read, key=lambda rows: rows.read))

    def _shuffled(self, number: int) -> Run:
        return Run(
            self.plan,
            shuffle=Shuffle(self.plan, seed=self.seed, run=number),
            worsening=self._worsening(number),
            every=self.every,
        )

    def _worsening(self, run: int) -> Worsening | None:
        if self.harm is None:
            return None
        return Worsening(self.harm, self.plan, seed=self.seed + run)

    def _feed(self, source: Source, runs: Sequence[Run], *, shuffled: bool) -> Rows:
        with Index(most=self.most_ids) as index:
            feed = Feed(self.plan, source.name, index, runs, needs_weight=shuffled)
            reader = RowReader(
                self.plan,
                feed.remarks,
                log=source.name,
                subject=self.subject,
                weight=self.weight,
            )
            raw = raw_rows(source, self.columns, feed.remarks)
            feed.all(map(reader.row, self._counted(raw)))
            return feed.rows

    def _counted(self, rows: Iterable[Raw]) -> Iterator[Raw]:
        for count, row in enumerate(rows):
            if count % TELL_EVERY == 0:
                self.progress(count)
            yield row

    def _brief(self, ended: Ended) -> "_Brief":
        blamed = ended.decisive
        candidate, cohort = self.plan.candidate, self.harm.cohort if self.harm else ""
        return _Brief(
            fell=ended.outcome is Outcome.ROLL_BACK,
            frozen=ended.distrusted is not None,
            cause=None if blamed is None else (blamed.metric, blamed.cohort),
            candidate=ended.exposures(candidate),
            cohort=ended.exposures(candidate, cohort),
        )


class _Brief(NamedTuple):
    """What is kept of one run of many."""

    fell: bool
    frozen: bool
    cause: tuple[str, Cohort] | None
    candidate: int
    cohort: int


def _summed_up(briefs: Sequence[_Brief], rows: Rows) -> Repeated:
    fell = [each for each in briefs if each.fell]
    causes = Counter(each.cause for each in fell if each.cause is not None)
    return Repeated(
        rolled_back=Share(len(fell), len(briefs)),
        frozen=sum(each.frozen for each in briefs),
        causes=dict(causes.most_common()),
        candidates=tuple(each.candidate for each in fell),
        cohort=tuple(each.cohort for each in fell),
        rows=rows,
    )
