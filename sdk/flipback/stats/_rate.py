"""The rate engine: rare events, compared by the arm they fall in.

While both arms have the same rate, whatever it is and however it drifts, the next
event falls in the candidate's arm with the candidate's share w of subjects; with
r times control's rate it is p(r) = w r / (w r + 1 - w). Events are therefore coin
flips of a known coin (Lindon & Malek, arXiv 2011.03567), weighed here one-sided,
against a margin, by stratum, in a discrete mixture over rate ratios r = r0 g:

    log LR_g = sum over strata of [k_T log(p(r0 g) / p(r0))
                                   + k_C log((1 - p(r0 g)) / (1 - p(r0)))] / phi
    E = mean over g of LR_g,   r0 = 1 + margin,   phi = 1 - pooled rate

Where subjects are too many to keep all who were exposed, their share w is the one
that was set; the arm of an event is then random whatever the numbers exposed, and phi
is 1.

phi takes the binomial's smaller variance into account; it is held between .05 and
1 and exact as the rate goes to 0, where the margin is 0. Where the margin is below 0
the rates differ at the boundary. With all k events spread over the arms as 1 to r0
the ratio of the binomials' variance to that of counts without bound is

    1 - r0 k (n_T + n_C) / (r0 n_T + n_C)^2

and phi is the larger of the two.

Harm beyond M is ruled out by the same engine: with arms exchanged, "the candidate
has at least 1 + M times control's rate" is "control has at most 1 / (1 + M) of the
candidate's", a margin of -M / (1 + M).
"""

from collections.abc import Iterable, Sequence
from math import exp, expm1, inf, log, log1p
from typing import NamedTuple

from flipback.stats._arm import Harm
from flipback.stats._average import mean_of_exponentials


RATIOS = (1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200)

MOST_OF_A_FALL = 0.99
"""Largest relative decrease that is ruled out: a rate cannot fall by more than all."""

_POWERS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0, 8.0)
_MOST_LOG_RATIO = log(RATIOS[-1])
_MAX_POOLED_RATE = 0.95


class RateStratum(NamedTuple):
    """Distinct subjects of one stratum: with an event, and exposed.

    A stratum without subjects in one of the arms says nothing. Numbers are fractions
    where each is divided by a design effect.

    Attributes:
        share: The candidate's share of subjects as it was set, where events are known
            better than the number of those exposed; None to take it from them.
    """

    candidate_events: float
    control_events: float
    candidate_n: float
    control_n: float
    share: float | None = None

    @property
    def turned(self) -> "RateStratum":
        """Return the stratum with the arms exchanged."""
        return RateStratum(
            self.control_events,
            self.candidate_events,
            self.control_n,
            self.candidate_n,
            None if self.share is None else 1 - self.share,
        )

    def over(self, deff: float) -> "RateStratum":
        """Return the stratum with each subject worth 1 / deff of an independent one."""
        return RateStratum(
            self.candidate_events / deff,
            self.control_events / deff,
            self.candidate_n / deff,
            self.control_n / deff,
            self.share,
        )

    def grown(self, times: float) -> "RateStratum":
        """Return the stratum with so many times as much of the same evidence."""
        return self.over(1 / times)


class WeighedRates(NamedTuple):
    """What the likelihood ratios of one stratum need.

    Attributes:
        hits: The candidate's events over phi.
        events: All events over phi.
        odds: Odds of the candidate's share, w / (1 - w).
    """

    hits: float
    events: float
    odds: float

    @classmethod
    def of(
        cls,
        hits: float,
        others: float,
        candidate_n: float,
        control_n: float,
        share: float | None = None,
        *,
        ratio: float = 1.0,
    ) -> "WeighedRates":
        """Return what events and subjects of both arms, none of them empty, weigh.

        Args:
            hits: The candidate's events.
            others: Control's events.
            candidate_n: The candidate's subjects.
            control_n: Control's subjects.
            share: The candidate's share as it was set, if it is to be taken.
            ratio: Of the rates at the boundary, if below 1.
        """
        if share is not None:
            return cls(hits, hits + others, share / (1 - share))
        events, both = hits + others, candidate_n + control_n
        spread = ratio * candidate_n + control_n
        at_boundary = ratio * (events / spread) * (both / spread)
        phi = 1 - min(events / both, at_boundary, _MAX_POOLED_RATE)
        return cls(hits / phi, events / phi, candidate_n / control_n)


class _Grid(NamedTuple):
    logs: tuple[float, ...]
    excesses: tuple[float, ...]

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "_Grid":
        logs = tuple(log(ratio) for ratio in ratios)
        return cls(logs, tuple(expm1(each) for each in logs))


_USUAL = _Grid.of(RATIOS)


def rate_engine(
    strata: Iterable[RateStratum],
    *,
    margin: float = 0.0,
    ratios: Sequence[float] = RATIOS,
) -> float:
    """Return log E against "the candidate's rate is at most 1 + margin of control's".

    There is no burn-in: three failures out of three are evidence already. Without
    events, or without a stratum that has both arms, the answer is 0. A harmful
    decrease is the same question with the arms exchanged.

    Args:
        strata: Subjects with and without an event.
        margin: Above -1; at -1 and below nothing can be said: 0.
        ratios: How many times the boundary's ratio, each above 1; at least one.

    >>> round(rate_engine([RateStratum(6, 6, 10, 1000)]), 2)
    17.03
    """
    if not -1 < margin < inf:
        return 0.0
    grid = _USUAL if ratios is RATIOS else _Grid.of(ratios)
    weighed = weigh(strata, min(1.0, 1.0 + margin))
    return mean_of_exponentials(_log_ratios(weighed, 1.0 + margin, grid))


def rule_out(strata: Iterable[RateStratum], *, margin: float, harm: Harm = 1) -> float:
    """Return log E against "the candidate's rate is worse by at least the margin".

    Args:
        strata: Subjects with and without an event.
        margin: Relative harm; of none at all nothing can be said: 0. Of a decrease
            no more than `MOST_OF_A_FALL` is asked for.
        harm: 1 where more events are harm, -1 where fewer are.
    """
    boundary = boundary_to_rule_out(margin, harm)
    return rate_engine(
        [stratum.turned for stratum in strata] if harm > 0 else strata,
        margin=boundary - 1,
        ratios=ruling_out_ratios(1 / boundary - 1),
    )


def boundary_to_rule_out(margin: float, harm: Harm) -> float:
    """Return the largest ratio, of control over candidate or turned, that is harm."""
    if harm > 0:
        return 1 / (1 + max(0.0, margin))
    return 1 - min(max(0.0, margin), MOST_OF_A_FALL)


def ruling_out_ratios(margin: float) -> tuple[float, ...]:
    """Return rate ratios fit for ruling out that one arm has 1 + margin times the rate.

    Arms that are truly alike are 1 + margin away from that boundary, so the grid
    lies about it, in powers: a little worse is covered as well as much better. A
    decrease by M is an increase of control over the candidate by M / (1 - M).
    """
    distance = log1p(max(0.0, margin))
    return tuple(exp(min(power * distance, _MOST_LOG_RATIO)) for power in _POWERS)


def rates(strata: Iterable[RateStratum]) -> tuple[float, float] | None:
    """Return control's and the candidate's rate at the same mix of strata.

    Strata are weighed as Mantel and Haenszel do, by n_T n_C / (n_T + n_C). None
    where no stratum has both arms.
    """
    control = candidate = total = 0.0
    for stratum in strata:
        weight = mantel_haenszel(stratum)
        if weight:
            control += weight * stratum.control_events / stratum.control_n
            candidate += weight * stratum.candidate_events / stratum.candidate_n
            total += weight
    return (control / total, candidate / total) if total else None


def mantel_haenszel(stratum: RateStratum) -> float:
    """Return the weight of a stratum, 0 without subjects in both arms."""
    both = stratum.candidate_n + stratum.control_n
    return stratum.candidate_n * stratum.control_n / both if both else 0.0


def weigh(strata: Iterable[RateStratum], ratio: float = 1.0) -> list[WeighedRates]:
    """Return what the strata with both arms weigh, phi taken at a ratio of rates."""
    return [
        WeighedRates.of(*stratum, ratio=ratio)
        for stratum in strata
        if stratum.candidate_n and stratum.control_n
    ]


def log_e(strata: Sequence[WeighedRates], ratio: float) -> float:
    """Return log E against a rate ratio; it falls as the ratio rises."""
    return mean_of_exponentials(_log_ratios(strata, ratio, _USUAL))


def log_likelihood_ratios(
    strata: Sequence[WeighedRates], ratio: float, ratios: Sequence[float]
) -> list[float]:
    """Return the log likelihood ratio of each rate ratio against the boundary's."""
    return _log_ratios(strata, ratio, _Grid.of(ratios))


def _log_ratios(
    strata: Sequence[WeighedRates], ratio: float, grid: _Grid
) -> list[float]:
    hits = sum([stratum.hits for stratum in strata])
    log_lrs = [hits * log_ratio for log_ratio in grid.logs]
    for stratum in strata:
        if events := stratum.events:
            odds = stratum.odds * ratio
            share = odds / (1 + odds)
            log_lrs = [
                log_lr - events * log1p(share * excess)
                for log_lr, excess in zip(log_lrs, grid.excesses, strict=True)
            ]
    return log_lrs
