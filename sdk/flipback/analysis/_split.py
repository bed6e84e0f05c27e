"""Whether subjects were split as the flag says: if not, nothing else can be trusted.

Distinct subjects of each epoch and rule are weighed against the share that the
flag service had in force, two-sided. Strata are not multiplied: subjects return
under the next epoch, in the same arm, and would be counted as new luck. They share
alpha instead, the k-th to appear having 1 / (k (k + 1)) of it, which sums to 1 for
as many as may come. With K strata at hand each is granted what the last one has,
whichever came first, so the answer depends on the sums alone; four strata cost
some three units of log E.
"""

from collections.abc import Iterator
from math import inf, isfinite, log
from typing import NamedTuple

from flipback.assignment import EVERYBODY
from flipback.exposure import EXPOSURE, Evidence
from flipback.plan import RolloutPlan
from flipback.stats import split_ratio


ALPHA = 0.001
"""Chance that a split that is as set is ever called otherwise, per attempt."""


class Split(NamedTuple):
    """What the numbers of subjects say of the split.

    Attributes:
        log_e: Evidence that it is not as set, for as many strata as were looked at;
            None where no share is known.
        peak_log_e: Its largest value so far.
        frozen: Why nothing may be concluded, or empty.
    """

    log_e: float | None
    peak_log_e: float
    frozen: str


class _Stratum(NamedTuple):
    epoch: str
    rule: str
    share: float
    candidate: int
    total: int

    @property
    def log_e(self) -> float:
        weighed = split_ratio(self.candidate, self.total, share=self.share)
        return weighed if isfinite(weighed) else 0.0


def weigh_split(plan: RolloutPlan, evidence: Evidence, *, peak: float = -inf) -> Split:
    """Weigh the split of every epoch and rule whose share is known.

    A hit stays a hit: what was booked under a split that is not the one in force
    is not cleaned by what comes later.

    Args:
        plan: Names both arms.
        evidence: Distinct exposed subjects, and the shares in force.
        peak: The largest value at the looks before.
    """
    strata = list(_strata(plan, evidence))
    wanted = log(1 / ALPHA)
    if not strata:
        return Split(None, peak, _remembered() if peak >= wanted else "")
    worst = max(strata, key=lambda stratum: stratum.log_e)
    log_e = worst.log_e - log(len(strata) * (len(strata) + 1))
    peak = max(peak, log_e)
    if peak < wanted:
        return Split(log_e, peak, "")
    return Split(log_e, peak, _said(worst) if log_e >= wanted else _remembered())


def _strata(plan: RolloutPlan, evidence: Evidence) -> Iterator[_Stratum]:
    counted: dict[tuple[str, str], list[int]] = {}
    for key, count in evidence.subjects.items():
        if (key.metric, key.cohort) != (EXPOSURE, EVERYBODY):
            continue
        if key.variant in (plan.control, plan.candidate):
            arms = counted.setdefault((key.epoch, key.rule), [0, 0])
            arms[key.variant == plan.candidate] += count
    for (epoch, rule), (control, candidate) in sorted(counted.items()):
        share = evidence.shares.get((epoch, rule))
        if share is not None and 0 < share < 1:
            yield _Stratum(epoch, rule, share, candidate, control + candidate)


def _said(stratum: _Stratum) -> str:
    where = f" under rule {stratum.rule}" if stratum.rule else ""
    observed = stratum.candidate / stratum.total if stratum.total else 0.0
    return (
        f"the split is not as set: {stratum.candidate} of {stratum.total} subjects "
        f"were exposed to the candidate in epoch {stratum.epoch}{where}, "
        f"{observed:.2%} instead of {stratum.share:.2%}; find out who is lost or "
        "counted twice, and begin a new attempt"
    )


def _remembered() -> str:
    return (
        "the split was not as set at an earlier look of this attempt; find out who "
        "was lost or counted twice, and begin a new attempt"
    )
