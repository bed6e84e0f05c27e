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

Pairs of one stratum are one more term with psi = mean d and V = s2_d / n, where
d = y_T - (1 + m) y_C. Score and information are both divided by the design effect:
of control in the strata of split arms, with weights 1 / V_e, which stands for both
arms; of d in the strata of pairs. With both kinds the variances add up,

    deff = (info_split deff_split + info_pairs deff_pairs) / info + 2 cov info

because info is the inverse of the variance that independence would give, and each
kind has its share of it. What a subject has in common over its calls cancels in d,
so their covariance is small; it is taken from the influences by bucket, and one
that would shrink the variance is not believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from flipback.stats._arm import Arm, Harm, Pair
from flipback.stats._design import WeighedArms, covariance, design_effect
from flipback.stats._paired import MIN_PAIRS, PairedArm


_LEAST_VARIANCE = 1e-300
"""Below it the variance of a mean counts as none: its inverse would overflow."""


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
    """One stratum.

    Attributes:
        spread: The arm whose buckets tell how subjects cluster.
    """

    control: Arm
    candidate: Arm
    spread: Arm
    psi: float
    precision: float


def stratified_score(
    pairs: Sequence[Pair],
    *,
    paired: Sequence[PairedArm] = (),
    margin: float = 0.0,
    harm: Harm = 1,
    least_deff: float = 1.0,
    deff: float | None = None,
) -> Score | None:
    """Return the evidence of harm beyond a relative margin, over all strata.

    Harm beyond a margin M is ruled out by the same score with its sign turned,
    `harm=-harm, margin=-M`: it is positive where the candidate is better than
    (1 + M) times control, or (1 - M) times where a decrease is harm. Any M will do;
    a decrease by M >= 1 is ruled out by any mean above 0, or above what is left.

    Strata in which neither arm varies and both agree say nothing; None where no
    other stratum is left.

    Args:
        pairs: The strata of split arms that may enter.
        paired: Strata of calls that both arms answered; one with fewer than
            `MIN_PAIRS` does not enter.
        margin: Harm that is tolerated, relative to the size of control's mean.
        harm: The direction that is harm.
        least_deff: Design effect below which none is believed; a cohort's is taken
            to be no smaller than the aggregate's.
        deff: The design effect, where it is known: of the same strata without a
            margin, which shifts their weights by next to nothing.
    """
    matched = [arm for arm in paired if arm.n >= MIN_PAIRS] if paired else ()
    factor = 1 + harm * margin * _sign_of_control(pairs, matched)
    split = [term for pair in pairs if (term := _term(pair, factor, harm)) is not None]
    within = [term for arm in matched if (term := _within(arm, factor, harm))]
    terms = split + within
    if not terms:
        return None
    info = sum([term.precision for term in terms])
    shares = [term.precision / info for term in terms]
    if deff is None and within:
        deff = _mixed_deff(split, within, shares, factor, least=least_deff)
    elif deff is None:
        deff = design_effect(_spread(split, shares), least=least_deff)
    return Score(
        score=sum([term.psi * term.precision for term in terms]) / deff,
        info=info / deff,
        deff=deff,
        control_value=_weighed([term.control for term in terms], shares),
        candidate_value=_weighed([term.candidate for term in terms], shares),
    )


def score_against_limit(
    arms: Sequence[Arm], *, limit: float, harm: Harm = 1
) -> Score | None:
    """Return the evidence that the mean of one arm breaches an absolute limit.

    The same score with one arm: psi_e = R_e - limit, V_e = s2_e / n_e. Both values
    of the result are the arm's mean. None where no stratum varies. With harm turned
    it is the evidence that the limit is kept.
    """
    varying = [arm for arm in arms if _LEAST_VARIANCE <= arm.variance / arm.n < inf]
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
    if not _LEAST_VARIANCE <= variance < inf:
        return None
    psi = candidate.minus(control) + (1 - factor) * control.mean
    return _Term(control, candidate, control, harm * psi, 1 / variance)


def _within(paired: PairedArm, factor: float, harm: Harm) -> _Term | None:
    """Return the term of pairs.

    Where d is the same for all pairs its square stands for the variance: nothing
    could be clearer than a candidate that is worse by 1 each time.
    """
    d = paired.against(factor)
    mean = d.mean
    variance = (d.variance or mean * mean) / d.n
    if not _LEAST_VARIANCE <= variance < inf:
        return None
    return _Term(paired.control, paired.candidate, d, harm * mean, 1 / variance)


def _spread(terms: Sequence[_Term], shares: Sequence[float]) -> WeighedArms:
    return [(term.spread, share) for term, share in zip(terms, shares, strict=True)]


def _mixed_deff(
    split: Sequence[_Term],
    within: Sequence[_Term],
    shares: Sequence[float],
    factor: float,
    *,
    least: float,
) -> float:
    """Return the design effect of strata of split arms and of pairs together."""
    apart, between = shares[: len(split)], shares[len(split) :]
    of_pairs = _spread(within, between)
    deff = sum(apart) * design_effect(_spread(split, apart))
    deff += sum(between) * design_effect(of_pairs)
    if split:
        signed = [(t.candidate, s) for t, s in zip(split, apart, strict=True)]
        signed += [(t.control, -s * factor) for t, s in zip(split, apart, strict=True)]
        info = sum([term.precision for term in (*split, *within)])
        deff += 2 * info * max(0.0, covariance(signed, of_pairs))
    return max(least, deff)


def _pooled_variance(pair: Pair) -> float:
    """Return the variance about the common mean, for two arms that are constant.

    A metric that was always 1 and is always 0 under the candidate has no variance
    inside either arm, and yet nothing could be clearer.
    """
    share = pair.candidate.n / (pair.candidate.n + pair.control.n)
    difference = pair.candidate.minus(pair.control)
    return share * (1 - share) * difference * difference


def _sign_of_control(pairs: Sequence[Pair], paired: Sequence[PairedArm]) -> Harm:
    """Return the sign of control's mean, by which a relative margin is no gift."""
    controls = [pair.control for pair in pairs]
    controls += [arm.control for arm in paired]
    return 1 if sum([control.n * control.mean for control in controls]) >= 0 else -1


def _weighed(arms: Sequence[Arm], shares: Sequence[float]) -> float:
    return sum([arm.mean * share for arm, share in zip(arms, shares, strict=True)])
