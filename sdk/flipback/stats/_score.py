"""Score and information of a difference of means, by stratum.

Per stratum e, with T the candidate, C control, R a mean, s2 a variance, s2_. its
average over strata and m the margin, all harm-signed (an increase is harm; for a
decrease signs turn):

    psi_e = R_T - (1 + m) R_C
    a_e   ~ 1 / [max(s2_T., s2_C.) / n_T + (1 + m)^2 s2_C. / n_C],   sum a_e = 1
    V     = max(sum a_e^2 s2_T,e / n_T, sum a_e^2 s2_C,e / n_T)
            + (1 + m)^2 sum a_e^2 s2_C,e / n_C
    info  = 1 / V,   score = info sum a_e psi_e

The margin is relative but the score stays linear in the sums, so no ratio is ever
approximated (Fieller). Comparing within strata is what keeps a ramp with a
drifting base rate from looking like an effect (Simpson's paradox).

Weights depend on numbers of observations and on one variance for all strata. A
stratum's own variance goes with its own mean wherever values are skewed (of shares
near 1 the highest have the least variance), so to weigh by it shifts every stratum
the same way: over some hundred small strata, hours or time slices, that is a sure
false alarm. In V each stratum counts with its own, so strata may differ.
The candidate takes the larger of the two variances, because its own is estimated
from few observations and too small just when a lucky streak makes its mean extreme.

Score and information are both divided by the design effect, that of control in the
strata of split arms, which stands for both arms. Where subjects are few control may
by luck have none of those who cluster; so a design effect of the candidate that is
larger by more than chance counts as well.

Pairs are strata of their own kind, with psi = mean d, d = y_T - (1 + m) y_C. Both
kinds are weighed by their information, and their variances add up,

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
from flipback.stats._design import WeighedArms, covariance, design_effect, of_either
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


class _Kind(NamedTuple):
    """All strata of one kind, of split arms or of pairs, as one comparison.

    Attributes:
        control: Control's mean by stratum.
        candidate: The candidate's.
        shares: Weight of each stratum, summing to 1.
        estimate: Weighed mean of psi, harm-signed.
        info: Inverse of its variance, as if observations were independent.
    """

    control: Sequence[Arm]
    candidate: Sequence[Arm]
    shares: Sequence[float]
    estimate: float
    info: float


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

    None without strata, and where neither arm varies in any and both agree in all.

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
    split = _of_split(pairs, factor, harm) if pairs else None
    within = _of_pairs(matched, factor, harm) if matched else None
    kinds = [kind for kind in (split, within) if kind is not None]
    if not kinds:
        return None
    info = sum([kind.info for kind in kinds])
    parts = [kind.info / info for kind in kinds]
    if deff is None:
        deff = max(least_deff, _deff(split, within, matched, factor))
    by_part = list(zip(kinds, parts, strict=True))
    return Score(
        score=sum([kind.estimate * part for kind, part in by_part]) * info / deff,
        info=info / deff,
        deff=deff,
        control_value=sum([p * _weighed(k.control, k.shares) for k, p in by_part]),
        candidate_value=sum([p * _weighed(k.candidate, k.shares) for k, p in by_part]),
    )


def score_against_limit(
    arms: Sequence[Arm], *, limit: float, harm: Harm = 1
) -> Score | None:
    """Return the evidence that the mean of one arm breaches an absolute limit.

    The same score with one arm, psi_e = R_e - limit and strata weighed by their
    observations. Both values of the result are the arm's mean. Where no stratum varies
    the square of psi stands for the variance: nothing could be clearer than a mean
    that breaches its limit each time. None without observations, or where all are the
    limit itself. With harm turned it is the evidence that the limit is kept.
    """
    total = sum([arm.n for arm in arms])
    shares = [arm.n / total for arm in arms]
    psi = sum([a * (arm.mean - limit) for a, arm in zip(shares, arms, strict=True)])
    squares = [arm.variance for arm in arms]
    if not any(squares):
        squares = [(arm.mean - limit) * (arm.mean - limit) for arm in arms]
    variance = sum([a / total * s for a, s in zip(shares, squares, strict=True)])
    if not _LEAST_VARIANCE <= variance < inf:
        return None
    weighed = list(zip(arms, shares, strict=True))
    deff = design_effect(weighed)
    mean = _weighed(arms, shares)
    return Score(
        score=harm * psi / variance / deff,
        info=1 / variance / deff,
        deff=deff,
        control_value=mean,
        candidate_value=mean,
    )


def _of_split(pairs: Sequence[Pair], factor: float, harm: Harm) -> _Kind | None:
    control, candidate = [p.control for p in pairs], [p.candidate for p in pairs]
    of_control, of_candidate = _average_variance(control), _average_variance(candidate)
    larger = max(of_control, of_candidate)
    constant = not larger
    if constant:
        of_control = larger = _variance_of_constants(pairs)
    square = factor * factor
    variances = [larger / t.n + square * of_control / c.n for c, t in pairs]
    shares = _shares(variances)
    if shares is None:
        return None
    own = alike = within_control = estimate = 0.0
    for share, (c, t) in zip(shares, pairs, strict=True):
        squared = share * share
        own += squared * t.variance / t.n
        alike += squared * c.variance / t.n
        within_control += squared * c.variance / c.n
        estimate += share * (t.minus(c) + (1 - factor) * c.mean)
    variance = max(own, alike) + square * within_control
    if constant:
        variance = sum([a * a * v for a, v in zip(shares, variances, strict=True)])
    if not _LEAST_VARIANCE <= variance < inf:
        return None
    return _Kind(control, candidate, shares, harm * estimate, 1 / variance)


def _of_pairs(paired: Sequence[PairedArm], factor: float, harm: Harm) -> _Kind | None:
    """Return the comparison of pairs.

    Where d is the same for all pairs its square stands for the variance: nothing
    could be clearer than a candidate that is worse by 1 each time.
    """
    arms = [each.against(factor) for each in paired]
    average = _average_variance(arms)
    squares = [arm.variance if average else arm.mean * arm.mean for arm in arms]
    average = average or _average(arms, squares)
    shares = _shares([average / arm.n for arm in arms])
    if shares is None:
        return None
    by_arm = list(zip(shares, arms, squares, strict=True))
    variance = sum([a * a * square / arm.n for a, arm, square in by_arm])
    if not _LEAST_VARIANCE <= variance < inf:
        return None
    return _Kind(
        [each.control for each in paired],
        [each.candidate for each in paired],
        shares,
        harm * sum([a * arm.mean for a, arm, _ in by_arm]),
        1 / variance,
    )


def _shares(variances: Sequence[float]) -> list[float] | None:
    """Return weights inverse to variances, None where one is none or overflows."""
    if not all(_LEAST_VARIANCE <= variance < inf for variance in variances):
        return None
    least = min(variances)
    weights = [least / variance for variance in variances]
    total = sum(weights)
    return [weight / total for weight in weights]


def _deff(
    split: _Kind | None,
    within: _Kind | None,
    matched: Sequence[PairedArm],
    factor: float,
) -> float:
    """Return the design effect of split arms, of pairs, or of both together."""
    of_pairs: WeighedArms = []
    if within is not None:
        differences = [arm.against(factor) for arm in matched]
        of_pairs = list(zip(differences, within.shares, strict=True))
    if split is None:
        return design_effect(of_pairs)
    control = list(zip(split.control, split.shares, strict=True))
    candidate = list(zip(split.candidate, split.shares, strict=True))
    if any(arm.variance for arm in split.control):
        apart = of_either(design_effect(control), design_effect(candidate))
    else:
        apart = design_effect(candidate)
    if within is None:
        return apart
    signed = [*candidate, *[(arm, -share * factor) for arm, share in control]]
    info = split.info + within.info
    part, other = split.info / info, within.info / info
    shared = part * other * covariance(signed, of_pairs)
    deff = part * apart + other * design_effect(of_pairs)
    return deff + 2 * info * max(0.0, shared)


def _average_variance(arms: Sequence[Arm]) -> float:
    return _average(arms, [arm.variance for arm in arms])


def _average(arms: Sequence[Arm], values: Sequence[float]) -> float:
    """Return the average over observations."""
    sizes = [arm.n for arm in arms]
    total = sum(sizes)
    return sum([n / total * value for n, value in zip(sizes, values, strict=True)])


def _variance_of_constants(pairs: Sequence[Pair]) -> float:
    """Return the variance about the common mean, for two arms that are constant.

    A metric that was always 1 and is always 0 under the candidate has no variance
    inside either arm, and yet nothing could be clearer.
    """
    both = [control.n + candidate.n for control, candidate in pairs]
    total, found = sum(both), 0.0
    for (control, candidate), n in zip(pairs, both, strict=True):
        difference = candidate.minus(control)
        found += control.n / n * (candidate.n / total) * difference * difference
    return found


def _sign_of_control(pairs: Sequence[Pair], paired: Sequence[PairedArm]) -> Harm:
    """Return the sign of control's mean, by which a relative margin is no gift."""
    controls = [pair.control for pair in pairs]
    controls += [arm.control for arm in paired]
    return 1 if sum([control.n * control.mean for control in controls]) >= 0 else -1


def _weighed(arms: Sequence[Arm], shares: Sequence[float]) -> float:
    return sum([arm.mean * share for arm, share in zip(arms, shares, strict=True)])
