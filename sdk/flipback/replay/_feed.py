"""Hand every row of a log to every run that is not over."""

from collections.abc import Iterable, Sequence

from flipback.assignment import Cohort
from flipback.plan import RolloutPlan, did_you_mean, nearest
from flipback.replay._index import Index
from flipback.replay._result import Rows
from flipback.replay._rows import Excluded, Exposed, Late, Origin, Row
from flipback.replay._run import Run
from flipback.replay._troubles import MEANING, LogError, Remark, Remarks, Trouble


class Feed:
    """Feeds runs, and counts what it feeds them.

    Args:
        plan: Which metrics should come.
        name: The log's, for messages.
        index: Where exposures with an id are kept; empty.
        runs: Whom to feed; who is over gets no more.
        needs_weight: Whether a row must say which share got the candidate.
    """

    def __init__(
        self,
        plan: RolloutPlan,
        name: str,
        index: Index,
        runs: Sequence[Run],
        *,
        needs_weight: bool,
    ) -> None:
        self._plan = plan
        self._name = name
        self._index = index
        self._runs = list(runs)
        self._needs_weight = needs_weight
        self._read = self._exposures = self._outcomes = 0
        self._seen: set[str] = set()
        self._met: set[Cohort] = set()
        self._whole = False
        self.remarks = Remarks()

    @property
    def rows(self) -> Rows:
        """Return what was read."""
        return Rows(
            read=self._read,
            exposures=self._exposures,
            outcomes=self._outcomes,
            remarks=self.remarks.all,
            unseen=tuple(sorted(_guarded(self._plan) - self._seen)),
            unmet=tuple(c for c in self._plan.declared_cohorts if c not in self._met),
            whole=self._whole,
        )

    def all(self, rows: Iterable[Row | None]) -> None:
        """Read until every run is over, or the log is.

        Raises:
            LogError: No exposure of either arm is in it.
        """
        for row in rows:
            self._read += 1
            match row:
                case Exposed():
                    self._expose(row)
                case Late():
                    self._outcome(row)
                case Excluded(reason):
                    self._exclude(reason)
                case None:
                    pass
            if not self._runs:
                return
        self._whole = True
        if not self._exposures:
            raise LogError(self._nothing())

    def _expose(self, row: Exposed) -> None:
        name, origin, metrics, pairs = row
        if self._needs_weight and origin.weight is None:
            raise LogError(self._unweighted(origin))
        paired = (pair.metric for pair in pairs)
        recorded = [metric for metric, _ in metrics]
        if name and not self._index.add(name, origin, recorded):
            self.remarks.note(Trouble.DUPLICATE, origin.line, name)
            return
        self._exposures += 1
        self._seen.update(recorded, paired)
        self._met.update(origin.cohorts)
        for run in self._runs:
            run.expose(row)
        self._drop_the_finished()

    def _outcome(self, row: Late) -> None:
        claimed = self._index.claim(row.of, [metric for metric, _ in row.metrics])
        if claimed is None:
            self.remarks.note(Trouble.UNKNOWN_ID, row.line, row.of)
            return
        if claimed.origin.paired:
            self.remarks.note(Trouble.LATE_OF_ONE, row.line, row.of)
            return
        self._outcomes += 1
        fresh = tuple(each for each in row.metrics if each[0] in claimed.fresh)
        for metric, _ in row.metrics:
            if metric not in claimed.fresh:
                self.remarks.note(Trouble.REPEATED, row.line, metric)
        self._seen.update(claimed.fresh)
        for run in self._runs:
            run.outcome(claimed.origin, fresh, line=row.line, at=row.at)
        self._drop_the_finished()

    def _exclude(self, reason: str) -> None:
        for run in self._runs:
            run.exclude(reason)

    def _drop_the_finished(self) -> None:
        if any(run.over for run in self._runs):
            self._runs = [run for run in self._runs if run.over is None]

    def _unweighted(self, origin: Origin) -> str:
        return (
            f"{self._name}:{origin.line}: no `weight`, and arms are exchanged with the "
            "share that was in force; write it, or say it for the whole log: "
            "--weight PERCENT"
        )

    def _nothing(self) -> str:
        """Return why nothing could be used, in the words of the commonest trouble."""
        plan = self._plan
        found = max(self.remarks.all, key=lambda each: each.count, default=None)
        if found is None:
            return f"{self._name}: has no exposure; log one row per call"
        meaning = MEANING[found.trouble]
        if found.trouble is not Trouble.OTHER_VARIANT:
            return (
                f"{self._name}:{found.line}: {meaning.words}, as {found.count:,} of "
                f"{self._read:,} rows, and no exposure is left; {meaning.remedy}"
            )
        return (
            f"{self._name}:{found.line}: no row has control {plan.control!r} or "
            f"candidate {plan.candidate!r} of the plan; {hint(plan, found)}"
        )


def hint(plan: RolloutPlan, remark: Remark) -> str:
    """Return what was probably meant by the first name of a remark."""
    known = {
        Trouble.OTHER_VARIANT: (plan.control, plan.candidate),
        Trouble.UNKNOWN_METRIC: tuple(sorted(plan.recorded)),
    }.get(remark.trouble, ())
    first, *_ = remark.names
    by_case = {each.casefold(): each for each in known}
    if (meant := by_case.get(first.casefold())) is not None:
        return did_you_mean(meant)
    listed = ", ".join(map(repr, remark.names))
    return nearest(first, known, otherwise=f"the log has {listed}")


def _guarded(plan: RolloutPlan) -> set[str]:
    """Return the metrics as they are recorded that a guardrail or a hope is about."""
    return {
        recorded
        for name in plan.judged
        for recorded in plan.metric(name).components or (name,)
    }
