"""Calls that both arms answered: differences within a pair, and McNemar's test.

What a call has in itself, hard or easy, is the same for both arms and cancels in
d = y_T - (1 + m) y_C, so few pairs say what many calls of separate arms would.

For 0/1 outcomes d has four values, and for each bet lambda the capital

    K = (1 + lambda d_10)^n10 (1 + lambda d_01)^n01 (1 + lambda d_11)^n11

is a supermartingale wherever the mean of d, harm-signed, is at most 0: whatever the
rates are, and however they drift (Waudby-Smith & Ramdas, JRSS B 86(1) 2024). Its
mean over a grid of bets is an e-value without any approximation. At margin 0 pairs
that agree drop out and it is McNemar's: the one-sample engine on discordant pairs
with p0 = 1/2.
"""

from math import log1p
from typing import NamedTuple, Self

from flipback.exposure import Cell
from flipback.stats._arm import Arm, Harm
from flipback.stats._average import mean_of_exponentials


MIN_PAIRS = 20
"""Pairs that a stratum needs to enter the normal mixture."""

_ODDS = (1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 50, 200)
_SMALL_ODDS = (1.01, 1.02, 1.05)
_BETS = tuple((odds - 1) / (odds + 1) for odds in _ODDS)
_RULING_OUT_BETS = (*[(odds - 1) / (odds + 1) for odds in _SMALL_ODDS], *_BETS)


class Discordance(NamedTuple):
    """How often an event happened under one arm alone, and under both."""

    candidate_only: float
    control_only: float
    both: float


class PairedArm:
    """All first and second moments of pairs of one stratum.

    Attributes:
        control: Control's values.
        candidate: The candidate's values of the same calls.
        difference: Candidate minus control by call; with arms that nearly agree it
            has the digits that the difference of their sums has lost.
    """

    __slots__ = ("candidate", "control", "difference")

    def __init__(self, control: Arm, candidate: Arm, difference: Arm) -> None:
        self.control = control
        self.candidate = candidate
        self.difference = difference

    @classmethod
    def of(
        cls, control: Cell | None, candidate: Cell | None, difference: Cell | None
    ) -> Self | None:
        """Return the pairs of three cells of the same calls, None without any."""
        arms = Arm.of(control), Arm.of(candidate), Arm.of(difference)
        if arms[0] is None or arms[1] is None or arms[2] is None:
            return None
        return cls(arms[0], arms[1], arms[2])

    @property
    def n(self) -> float:
        """Return the number of pairs."""
        return self.difference.n

    @property
    def is_weighable(self) -> bool:
        """Return whether nothing that is computed of the pairs can overflow."""
        arms = (self.control, self.candidate, self.difference)
        return all(arm.is_weighable for arm in arms)

    @property
    def is_binary(self) -> bool:
        """Return whether all values of both arms are 0 or 1."""
        return self.control.is_binary and self.candidate.is_binary

    @property
    def discordance(self) -> Discordance:
        """Return the counts that McNemar's test needs; of 0/1 metrics only."""
        mean = self.difference.mean
        square = self.difference.variance + mean * mean
        candidate_only = max(0.0, self.n * (square + mean) / 2)
        control_only = max(0.0, self.n * (square - mean) / 2)
        both = max(0.0, self.n * self.candidate.mean - candidate_only)
        return Discordance(candidate_only, control_only, both)

    def against(self, factor: float) -> Arm:
        """Return d = y_T - factor * y_C as one arm, its buckets included.

        With m = factor - 1 it is D - m y_C, and since the covariance of D and y_C
        is (Var T - Var C - Var D) / 2,

            Var d = (1 + m) Var D + m (1 + m) Var C - m Var T
        """
        margin, d, c = factor - 1, self.difference, self.control
        if not margin:
            return d
        variance = factor * (d.variance + margin * c.variance)
        sums = zip(d.bucket_x, c.bucket_x, strict=True)
        return Arm(
            n=d.n,
            origin=d.origin - margin * c.origin,
            centred=d.centred - margin * c.centred,
            variance=max(variance - margin * self.candidate.variance, 0.0),
            bucket_n=d.bucket_n,
            bucket_x=[x - margin * y for x, y in sums],
            observed=d.observed,
        )


def mcnemar(
    candidate_only: float,
    control_only: float,
    both: float,
    *,
    margin: float = 0.0,
    harm: Harm = 1,
) -> float:
    """Return log E against "the candidate's rate is not worse beyond the margin".

    With harm = 1 that is p_T <= (1 + margin) p_C, with harm = -1 it is
    p_T >= (1 - margin) p_C. Harm beyond M is ruled out by `harm=-harm, margin=-M`.
    Without pairs, or where no outcome could be evidence, the answer is 0 or less.

    Args:
        candidate_only: Pairs with an event under the candidate alone; may be a
            fraction, where counts are divided by a design effect.
        control_only: Pairs with an event under control alone.
        both: Pairs with an event under both arms.
        margin: Relative to control's rate.
        harm: 1 where more events are harm, -1 where fewer are.

    >>> mcnemar(0, 0, 1000)
    0.0
    """
    factor = 1 + harm * margin
    gains = (harm * 1.0, -harm * factor, harm * (1 - factor))
    stake = 1 / max(1.0, -min(gains))
    counts = (candidate_only, control_only, both)
    return mean_of_exponentials(
        [
            sum(
                [n * log1p(bet * stake * g) for n, g in zip(counts, gains, strict=True)]
            )
            for bet in (_BETS if margin >= 0 else _RULING_OUT_BETS)
        ]
    )
