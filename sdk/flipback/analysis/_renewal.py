"""Harm that begins late: a good first week must not pay for a bad second one.

The evidence of a whole attempt answers whether the candidate was worse on average. A
candidate that was good for a week and is bad since has a good average for long. So a
part of alpha is kept for what is seen since the last stage began:

    E = (1 - RESERVE) E_attempt + RESERVE / (k (k + 1)) E_since the k-th stage began

Each summand is an e-process of its own, which is 1 until its stage begins, and the
weights of all stages that may ever begin sum to 1 (sum of 1 / (k (k + 1)) over k >= 1).
So E is at most an e-process, whatever stages there will be and whenever they begin; a
stage that is over counts as nothing, which only makes E smaller. It costs a candidate
that is bad from the start 0.1 nats, some 3 percent more observations.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import log
from typing import NamedTuple, Self, TypeVar

from flipback.analysis._weighed import Weighed
from flipback.exposure import Evidence
from flipback.rollout import RolloutRecord
from flipback.stats import average


RESERVE = 0.1
SINCE = "since the stage in force began"
_Key = TypeVar("_Key", bound=tuple[object, ...])
_Kept = TypeVar("_Kept")


class Renewal(NamedTuple):
    """The stage that began last.

    Attributes:
        number: How many stages have begun since the attempt did, 0 in its first.
        since: When it was decided on, Unix seconds.
    """

    number: int
    since: float

    @classmethod
    def of(cls, record: RolloutRecord) -> Self | None:
        """Return it; None where no attempt was ever started."""
        if not record.started:
            return None
        return cls(record.renewals, record.renewed_at)


def since_renewal(evidence: Evidence, renewal: Renewal | None) -> Evidence | None:
    """Return what was seen since the last stage began.

    None where that is all of it, and where nobody knows when epochs were opened.
    """
    if renewal is None or not renewal.number or not evidence.opened:
        return None
    new = {e for e, opened in evidence.opened.items() if opened >= renewal.since}
    if new >= {key.epoch for key in evidence.cells}:
        return None
    shares = {place: s for place, s in evidence.shares.items() if place[0] in new}
    return replace(
        evidence,
        cells=_of_epochs(evidence.cells, new),
        subjects=_of_epochs(evidence.subjects, new),
        shares=shares,
    )


def renewed(
    whole: Weighed,
    recent: Weighed | None,
    renewal: Renewal | None,
    *,
    log_threshold: float,
) -> Weighed:
    """Return what the whole attempt and its last stage say together.

    Where the last stage alone proves harm, its numbers are shown.
    """
    if renewal is None:
        return whole
    kept = log(1 - RESERVE)
    if recent is None:
        return replace(whole, log_e=whole.log_e + kept if whole.log_e else 0.0)
    number = max(1, renewal.number)
    share = RESERVE / (number * (number + 1))
    together = average([whole.log_e, recent.log_e], [1 - RESERVE, share])
    if recent.log_e + log(share) < max(log_threshold, whole.log_e + kept):
        heavier = recent if recent.log_e + log(share) > whole.log_e + kept else whole
        breached = heavier.breached_by_control
        return replace(whole, log_e=together, breached_by_control=breached)
    return replace(recent, log_e=together, note=SINCE)


def _of_epochs(kept: Mapping[_Key, _Kept], epochs: set[str]) -> Mapping[_Key, _Kept]:
    return {key: value for key, value in kept.items() if key[2] in epochs}
