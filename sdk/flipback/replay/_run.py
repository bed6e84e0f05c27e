"""One run of a log: book each row, look when it is time, stop at harm."""

from bisect import bisect_right
from datetime import timedelta

from flipback.analysis import Analysis, gate
from flipback.plan import RolloutPlan
from flipback.replay._arms import Shuffle, Worsening
from flipback.replay._result import Ended, Outcome, Pointed, Stage
from flipback.replay._rows import Exposed, Origin, Values
from flipback.replay._watch import LOOK_EVERY, Watch
from flipback.tally import MAX_SUBJECTS, Seen, Tally
from flipback.verdict import Action, Verdict


class Run:
    """One run; of one log there may be many, each with arms of its own.

    Args:
        plan: What was promised.
        shuffle: Exchanges the labels of arms; as logged if None.
        worsening: Harm to add to the candidate; none if None.
        every: Candidate exposures between looks, once there were 100.
        most_subjects: See `Tally`.
    """

    def __init__(
        self,
        plan: RolloutPlan,
        *,
        shuffle: Shuffle | None = None,
        worsening: Worsening | None = None,
        every: int = LOOK_EVERY,
        most_subjects: int = MAX_SUBJECTS,
    ) -> None:
        self._plan = plan
        self._shuffle = shuffle
        self._worsening = worsening
        self._tally = Tally(plan, most_subjects=most_subjects)
        self._watch = Watch(plan, self._tally, every=every)
        self._now = float("-inf")
        self._line = 0
        self._frozen: list[tuple[int, str]] = [(0, "")]
        self._stages: dict[str, Stage] = {}
        self._paused: Pointed | None = None
        self._distrusted: Pointed | None = None
        self.over: Ended | None = None

    def expose(self, row: Exposed) -> None:
        """Book an exposure with its outcomes, and look if it is time."""
        origin = row.origin
        variant = self._variant(origin)
        self._at(origin.line, origin.at)
        self._stages[origin.rule] = Stage.after(self._stages.get(origin.rule), origin)
        seen = _seen(origin, variant)
        if origin.paired:
            seen = self._tally.placed(seen)
        else:
            seen = self._tally.expose(seen, share=origin.share)
        suffix = seen.epoch[len(origin.epoch) :]
        if suffix != self._frozen[-1][1]:
            self._frozen.append((origin.line, suffix))
        self._book(seen, row.metrics, origin.line, origin.at)
        self._pair(seen, row)
        served = variant == self._plan.candidate
        self._look_if_due(exposed=served or origin.paired)

    def outcome(self, origin: Origin, metrics: Values, *, line: int, at: float) -> None:
        """Book outcomes that came later, and look if an hour has passed."""
        self._at(line, at)
        place = bisect_right(self._frozen, origin.line, key=lambda each: each[0]) - 1
        seen = _seen(origin, self._variant(origin))
        seen = seen._replace(epoch=origin.epoch + self._frozen[place][1])
        self._book(seen, metrics, line, at)
        self._look_if_due(exposed=False)

    def exclude(self, reason: str) -> None:
        """Count an exposure that is not compared."""
        self._tally.exclude(reason)

    def end(self) -> Ended:
        """Return how it ended: at harm, or at the end of the log."""
        if self.over is None:
            analysis = self._look()
            if self.over is None:
                self.over = self._ended(analysis, last=True)
        return self.over

    def _at(self, line: int, at: float) -> None:
        self._line = line
        self._now = max(self._now, at)

    def _variant(self, origin: Origin) -> str:
        return self._shuffle.variant(origin) if self._shuffle else origin.variant

    def _book(self, seen: Seen, metrics: Values, line: int, at: float) -> None:
        worsening = self._worsening
        if seen.variant != self._plan.candidate:
            worsening = None
        for metric, value in metrics:
            if worsening is not None:
                value = worsening.value(metric, value, seen.cohorts, line)  # noqa: PLW2901 - the same value, made worse
            self._tally.outcome(seen, metric, value, now=at)

    def _pair(self, seen: Seen, row: Exposed) -> None:
        if not row.pairs:
            return
        line, cohorts = row.origin.line, row.origin.cohorts
        turned = self._shuffle is not None and self._shuffle.turns(row.origin)
        for metric, control, candidate in row.pairs:
            left, right = (candidate, control) if turned else (control, candidate)
            if self._worsening is not None:
                right = self._worsening.value(metric, right, cohorts, line)
            self._tally.pair(seen, metric, left, right)

    def _look_if_due(self, *, exposed: bool) -> None:
        if self._watch.is_due(exposed=exposed, now=self._now):
            self._look()

    def _look(self) -> Analysis:
        analysis = self._watch.look(self._now)
        here = Pointed(line=self._line, at=self._now)
        match analysis.action:
            case Action.ROLL_BACK:
                self.over = self._ended(analysis, last=False)
            case Action.PAUSE:
                self._paused = self._paused or here
            case Action.FREEZE:
                self._distrusted = self._distrusted or here
            case Action.HOLD:
                pass
        return analysis

    def _ended(self, analysis: Analysis, *, last: bool) -> Ended:
        evidence, plan = self._tally.evidence, self._plan
        stage = max(self._stages.values(), key=lambda each: each.rows, default=Stage())
        weighed = None
        if last:
            weighed = gate(
                plan,
                evidence,
                weight=stage.weight,
                elapsed=timedelta(seconds=max(0.0, self._now - stage.since)),
                now=self._now,
                analysis=analysis,
            )
        outcome = Outcome.HOLD
        if not last:
            outcome = Outcome.ROLL_BACK
        elif weighed is not None and weighed.verdict is Verdict.PASS:
            outcome = Outcome.PROMOTE
        return Ended(
            outcome=outcome,
            where=Pointed(line=self._line, at=self._now),
            analysis=analysis,
            gate=weighed,
            stage=stage,
            evidence=evidence,
            looks=self._watch.looks,
            observed=self._watch.exposures,
            paused=self._paused,
            distrusted=self._distrusted,
            worsened=0 if self._worsening is None else self._worsening.changed,
        )


def _seen(origin: Origin, variant: str) -> Seen:
    return Seen(
        variant, origin.subject, origin.cohorts, origin.epoch, origin.rule, origin.at
    )
