"""Score and information of a difference of means, by stratum.

Per stratum e, with T the candidate, C control, R a mean, s2 a variance and m the
margin, all harm-signed (an increase is harm; for a decrease signs turn):

    psi_e = R_T - (1 + m) R_C
    V_e   = max(s2_T, s2_C) / n_T + (1 + m)^2 s2_C / n_C
    info  = sum 1 / V_e,   score = sum psi_e / V_e

The margin is relative but the score stays linear in the sums, so no ratio is ever
approximated (Fieller). Comparing within strata is what keeps a ramp with a
drifting base rate from looking like an effect (Simpson's paradox). The candidate
takes the larger of the two variances, because its own is estimated from few
observations and too small just when a lucky streak makes its mean extreme.

Requests of one subject are not independent. Subjects are hashed into B = 64
buckets (random groups; Chamandy et al. 2012), and the scatter of control's bucket
sums against what independence would give is the design effect:

    infl_b = sum over e of (1/V_e)/info * (x_C,e,b - R_C,e n_C,e,b) / n_C,e
    deff   = max(1, B/(B-1) * sum infl_b^2 / sum ((1/V_e)/info)^2 s2_C,e / n_C,e)

Score and information are both divided by it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from flipback.exposure import BUCKETS, Cell


Harm = Literal[1, -1]
"""1 where an increase is harm, -1 where a decrease is."""

MIN_CANDIDATE = 5
MIN_CONTROL = 20

_LEAST_VARIANCE = 1e-300
"""Below it the variance of a mean counts as none: its inverse would overflow."""


class Arm:
    """Totals of one cell, taken once.

    Attributes:
        cell: Where they come from.
        n: Observations, at least 1.
        centred: Mean about the cell's origin.
        variance: Population variance.
    """

    __slots__ = ("cell", "centred", "n", "variance")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.n = sum(cell.n)
        self.centred = sum(cell.x) / self.n
        self.variance = max(0.0, cell.xx / self.n - self.centred * self.centred)

    @classmethod
    def of(cls, cell: Cell | None) -> Self | None:
        """Return the totals of a cell, None without observations."""
        return None if cell is None or not any(cell.n) else cls(cell)

    @property
    def is_weighable(self) -> bool:
        """Return whether nothing that is computed of the cell can overflow."""
        return self.cell.is_weighable

    @property
    def mean(self) -> float:
        """Return the mean in the metric's unit."""
        return self.cell.origin + self.centred

    def minus(self, other: Self) -> float:
        """Return the difference of means, exact for means that are large and close."""
        return (self.cell.origin - other.cell.origin) + (self.centred - other.centred)


class Pair(NamedTuple):
    """Both arms of one stratum that has enough observations to enter."""

    control: Arm
    candidate: Arm

    @classmethod
    def of(cls, control: Arm | None, candidate: Arm | None) -> "Pair | None":
        """Return the stratum, None if an arm is missing or too small to enter."""
        if control is None or candidate is None:
            return None
        if control.n < MIN_CONTROL or candidate.n < MIN_CANDIDATE:
            return None
        return cls(control, candidate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A harm-signed score, ready for the normal mixture.

    Attributes:
        score: Sum of differences over their variances, over the design effect;
            may overflow where strata differ by hundreds of orders of magnitude.
        info: Sum of inverse variances, over the design effect; finite, and 0 only
            by underflow.
        deff: The design effect, at least 1.
        control_value: Control's mean, strata weighed by their information.
        candidate_value: The candidate's mean under the same weights.
    """

    score: float
    info: float
    deff: float
    control_value: float
    candidate_value: float


class _Term(NamedTuple):
    pair: Pair
    psi: float
    precision: float


def stratified_score(
    pairs: Sequence[Pair],
    *,
    margin: float = 0.0,
    harm: Harm = 1,
    least_deff: float = 1.0,
) -> Score | None:
    """Return the evidence of harm beyond a relative margin, over all strata.

    Strata in which neither arm varies and both agree say nothing; None where no
    other stratum is left.

    Args:
        pairs: The strata that may enter.
        margin: Harm that is tolerated, relative to the size of control's mean.
        harm: The direction that is harm.
        least_deff: Design effect below which none is believed; a cohort's is taken
            to be no smaller than the aggregate's.
    """
    factor = 1 + harm * margin * _sign_of_control(pairs)
    terms = [term for pair in pairs if (term := _term(pair, factor, harm)) is not None]
    if not terms:
        return None
    info = sum([term.precision for term in terms])
    shares = [term.precision / info for term in terms]
    deff = design_effect(
        [(term.pair.control, share) for term, share in zip(terms, shares, strict=True)],
        least=least_deff,
    )
    return Score(
        score=sum([term.psi * term.precision for term in terms]) / deff,
        info=info / deff,
        deff=deff,
        control_value=_weighed(terms, shares, 0),
        candidate_value=_weighed(terms, shares, 1),
    )


def score_against_limit(
    arms: Sequence[Arm], *, limit: float, harm: Harm = 1
) -> Score | None:
    """Return the evidence that the mean of one arm breaches an absolute limit.

    The same score with one arm: psi_e = R_e - limit, V_e = s2_e / n_e. Both values
    of the result are the arm's mean. None where no stratum varies.
    """
    varying = [arm for arm in arms if arm.variance / arm.n >= _LEAST_VARIANCE]
    if not varying:
        return None
    precisions = [arm.n / arm.variance for arm in varying]
    info = sum(precisions)
    shares = [(arm, p / info) for arm, p in zip(varying, precisions, strict=True)]
    deff = design_effect(shares, least=1.0)
    mean = sum([arm.mean * share for arm, share in shares])
    return Score(
        score=harm * (mean - limit) * info / deff,
        info=info / deff,
        deff=deff,
        control_value=mean,
        candidate_value=mean,
    )


def design_effect(
    weighed_arms: Iterable[tuple[Arm, float]], *, least: float = 1.0
) -> float:
    """Return by how much clustering of subjects inflates the variance of a mean.

    Args:
        weighed_arms: One arm in its strata, each with the stratum's weight.
        least: Returned where the scatter is smaller, or nothing varies.
    """
    influence = [0.0] * BUCKETS
    independent = 0.0
    for arm, weight in weighed_arms:
        if not arm.variance:
            continue  # its scatter is what rounding left
        scale = weight / arm.n
        expected = scale * arm.centred
        influence = [
            total + scale * x - expected * n
            for total, x, n in zip(influence, arm.cell.x, arm.cell.n, strict=True)
        ]
        independent += scale * scale * arm.variance * arm.n
    if independent <= 0:
        return least
    scatter = sum([total * total for total in influence])
    return max(least, BUCKETS / (BUCKETS - 1) * scatter / independent)


def _term(pair: Pair, factor: float, harm: Harm) -> _Term | None:
    control, candidate = pair
    control_variance = control.variance
    candidate_variance = max(candidate.variance, control_variance)
    if candidate_variance == 0:
        control_variance = candidate_variance = _pooled_variance(pair)
    variance = (
        candidate_variance / candidate.n
        + factor * factor * control_variance / control.n
    )
    if variance < _LEAST_VARIANCE:
        return None
    psi = candidate.minus(control) + (1 - factor) * control.mean
    return _Term(pair, harm * psi, 1 / variance)


def _pooled_variance(pair: Pair) -> float:
    """Return the variance about the common mean, for two arms that are constant.

    A metric that was always 1 and is always 0 under the candidate has no variance
    inside either arm, and yet nothing could be clearer.
    """
    share = pair.candidate.n / (pair.candidate.n + pair.control.n)
    difference = pair.candidate.minus(pair.control)
    return share * (1 - share) * difference * difference


def _sign_of_control(pairs: Sequence[Pair]) -> Harm:
    """Return the sign of control's mean, by which a relative margin is no gift."""
    return 1 if sum([pair.control.n * pair.control.mean for pair in pairs]) >= 0 else -1


def _weighed(terms: Sequence[_Term], shares: Sequence[float], arm: int) -> float:
    return sum([term.pair[arm].mean * s for term, s in zip(terms, shares, strict=True)])
