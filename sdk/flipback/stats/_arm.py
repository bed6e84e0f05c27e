"""The mean of one arm in one stratum, however it comes about.

Whatever is compared is brought to one form: a mean about an origin, its variance
per observation, and sums by bucket from which the influence of each bucket of
subjects on the mean follows,

    influence_b = (x_b - centred * n_b) / n,   sum over b of influence_b = 0

so that scores and design effects need not know whether the mean is one of values,
of a ratio of sums, of a linear combination, or of outcomes that are partly missing.
"""

from collections.abc import Sequence
from math import isclose
from typing import Literal, NamedTuple, Self

from flipback.exposure import BUCKETS, MAX_VALUE, Cell


Harm = Literal[1, -1]
"""1 where an increase is harm, -1 where a decrease is."""

MIN_CANDIDATE = 5
MIN_CONTROL = 20

_LARGEST_MEAN = 10 * MAX_VALUE
_LARGEST_SQUARE = _LARGEST_MEAN * _LARGEST_MEAN
_ROUNDING = 1e-12
_CANCELLED = 1e-9


class Arm:
    """A mean, its variance, and the sums by bucket that it is made of.

    Attributes:
        n: Observations, more than 0; of a ratio the sum of the denominator.
        origin: What was subtracted from each value before it was summed.
        centred: Mean about the origin.
        variance: Population variance; variance / n is that of the mean, as if all
            observations were independent.
        bucket_n: Share of each bucket in n, shape (64,).
        bucket_x: Sum about the origin by bucket, shape (64,).
        observed: What a floor on the number of observations is compared with: of a
            ratio the effective number of its denominators, and at most the number
            of occupied buckets where the variance was estimated from them.
    """

    __slots__ = (
        "bucket_n",
        "bucket_x",
        "centred",
        "n",
        "observed",
        "origin",
        "variance",
    )

    def __init__(
        self,
        *,
        n: float,
        origin: float,
        centred: float,
        variance: float,
        bucket_n: Sequence[float],
        bucket_x: Sequence[float],
        observed: float,
    ) -> None:
        self.n = n
        self.origin = origin
        self.centred = centred
        self.variance = variance
        self.bucket_n = bucket_n
        self.bucket_x = bucket_x
        self.observed = observed

    @classmethod
    def of(cls, cell: Cell | None) -> Self | None:
        """Return the mean of a cell's values, None without observations."""
        if cell is None or (n := sum(cell.n)) <= 0:
            return None
        return cls._of_sums(n, cell.origin, cell.n, cell.x, cell.xx)

    @classmethod
    def ratio(cls, numerator: Cell | None, denominator: Cell | None) -> Self | None:
        """Return a ratio of sums, sum x / sum d; None unless the denominator is > 0.

        Where no numerator was ever recorded its sum is 0. With denominators of 0
        and 1, as in precision, the variance per unit of denominator is xx / n - R^2.
        With others it is not: there the scatter of x - R d over the buckets
        (linearisation, as in Deng, Knoblich and Lu 2018) is taken where it is less,
        and where it is more it makes the design effect.
        """
        if denominator is None or not (n := sum(uncentred(denominator))) > 0:
            return None
        bucket_n = uncentred(denominator)
        if numerator is not None and bucket_n == list(numerator.n):
            return cls.of(numerator)
        above = numerator or Cell()
        bucket_x = uncentred(above)
        centred = sum(bucket_x) / n
        square = _square(above) / n
        arm = cls(
            n=n,
            origin=0.0,
            centred=centred,
            variance=max(square - centred * centred, 0.0),
            bucket_n=bucket_n,
            bucket_x=bucket_x,
            observed=_effective(n, denominator),
        )
        if arm.variance <= _CANCELLED * square or not _is_zero_or_one(n, denominator):
            arm._take_scatter(at_most=arm.variance or _LARGEST_SQUARE)
        return arm

    @classmethod
    def combined(cls, parts: Sequence[tuple[float, Self]]) -> Self:
        """Return the linear combination of means, sum of coefficient times mean.

        The influences of a bucket on each part add up, which accounts for every
        covariance of the parts, and for subjects with more than one observation:
        the variance comes from the buckets, so one stratum's design effect is 1.

        Args:
            parts: Coefficients and means of one arm in one stratum; at least one.
        """
        least = min((arm for _, arm in parts), key=lambda arm: arm.n)
        centred = sum([c * arm.centred for c, arm in parts])
        bucket_x = [centred * n for n in least.bucket_n]
        for coefficient, arm in parts:
            scale = coefficient * least.n / arm.n
            residuals = zip(bucket_x, arm.bucket_x, arm.bucket_n, strict=True)
            bucket_x = [y + scale * (x - arm.centred * n) for y, x, n in residuals]
        combined = cls(
            n=least.n,
            origin=sum([c * arm.origin for c, arm in parts]),
            centred=centred,
            variance=0.0,
            bucket_n=least.bucket_n,
            bucket_x=bucket_x,
            observed=min([arm.observed for _, arm in parts]),
        )
        if any(arm.variance for _, arm in parts):
            combined._take_scatter(at_most=_LARGEST_SQUARE)
        return combined

    @classmethod
    def filled(
        cls, cell: Cell | None, exposed: Cell | None, value: float
    ) -> Self | None:
        """Return the mean where each exposure without an outcome counts as a value.

        What is missing is counted by bucket; outcomes beyond the number of
        exposures stay as they are. None without exposures and outcomes.

        Args:
            cell: The outcomes.
            exposed: The exposures; only their numbers are used.
            value: What a missing outcome is taken to be.
        """
        seen = Cell.starting_at(value) if cell is None else cell
        if exposed is None:
            return cls.of(cell)
        gaps = [max(0, n - m) for n, m in zip(exposed.n, seen.n, strict=True)]
        away = value - seen.origin
        bucket_n = [m + gap for m, gap in zip(seen.n, gaps, strict=True)]
        bucket_x = [x + gap * away for x, gap in zip(seen.x, gaps, strict=True)]
        if (n := sum(bucket_n)) <= 0:
            return None
        xx = seen.xx + sum(gaps) * away * away
        return cls._of_sums(n, seen.origin, bucket_n, bucket_x, xx)

    @classmethod
    def counted(cls, hits: Sequence[float], trials: Sequence[int]) -> Self | None:
        """Return the share of trials that hit, both by bucket; None without trials."""
        if (n := sum(trials)) <= 0:
            return None
        share = sum(hits) / n
        return cls(
            n=n,
            origin=0.0,
            centred=share,
            variance=max(share * (1 - share), 0.0),
            bucket_n=trials,
            bucket_x=hits,
            observed=n,
        )

    @classmethod
    def _of_sums(
        cls,
        n: float,
        origin: float,
        bucket_n: Sequence[float],
        bucket_x: Sequence[float],
        xx: float,
    ) -> Self:
        centred = sum(bucket_x) / n
        return cls(
            n=n,
            origin=origin,
            centred=centred,
            variance=max(xx / n - centred * centred, 0.0),
            bucket_n=bucket_n,
            bucket_x=bucket_x,
            observed=n,
        )

    @property
    def is_weighable(self) -> bool:
        """Return whether nothing that is computed of the arm can overflow."""
        furthest = _LARGEST_MEAN * max(1.0, self.n)
        return (
            abs(self.origin) <= MAX_VALUE
            and abs(self.centred) <= _LARGEST_MEAN
            and self.variance <= _LARGEST_SQUARE
            and self.n <= _LARGEST_SQUARE
            and max(self.bucket_x) <= furthest
            and min(self.bucket_x) >= -furthest
        )

    @property
    def is_binary(self) -> bool:
        """Return whether every value is 0 or 1, of which the sums are a sure sign."""
        square = self.variance + self.centred * self.centred
        return self.origin == 0 and isclose(self.centred, square, rel_tol=_ROUNDING)

    @property
    def mean(self) -> float:
        """Return the mean in the metric's unit."""
        return self.origin + self.centred

    def minus(self, other: Self) -> float:
        """Return the difference of means, exact for means that are large and close."""
        return (self.origin - other.origin) + (self.centred - other.centred)

    def influence(self) -> list[float]:
        """Return what each bucket adds to the mean, summing to 0; shape (64,)."""
        scale, expected = 1 / self.n, self.centred / self.n
        sums = zip(self.bucket_x, self.bucket_n, strict=True)
        return [scale * x - expected * n for x, n in sums]

    def _take_scatter(self, *, at_most: float) -> None:
        """Take the variance from the buckets that are occupied.

        Where only rounding scatters them, the mean does not vary.
        """
        scatter = sum([part * part for part in self.influence()])
        occupied = BUCKETS - list(self.bucket_n).count(0)
        sizes = zip(self.bucket_x, self.bucket_n, strict=True)
        largest = max([abs(x) + abs(self.centred * n) for x, n in sizes]) / self.n
        if scatter <= (_ROUNDING * largest) * (_ROUNDING * largest):
            scatter = 0.0
        unbiased = occupied / max(1, occupied - 1)
        self.variance = min(unbiased * scatter * self.n, at_most)
        self.observed = min(self.observed, occupied)


class Pair(NamedTuple):
    """Both arms of one stratum that has enough observations to enter."""

    control: Arm
    candidate: Arm

    @classmethod
    def of(cls, control: Arm | None, candidate: Arm | None) -> "Pair | None":
        """Return the stratum, None if an arm is missing or too small to enter."""
        if control is None or candidate is None:
            return None
        if control.observed >= MIN_CONTROL and candidate.observed >= MIN_CANDIDATE:
            return cls(control, candidate)
        return None


def uncentred(cell: Cell) -> list[float]:
    """Return the sums of a cell's values by bucket, about 0; shape (64,)."""
    if not (origin := cell.origin):
        return list(cell.x)
    return [x + origin * n for x, n in zip(cell.x, cell.n, strict=True)]


def _square(cell: Cell) -> float:
    """Return the sum of squares about 0."""
    origin = cell.origin
    return cell.xx + 2 * origin * sum(cell.x) + sum(cell.n) * origin * origin


def _effective(total: float, denominator: Cell) -> float:
    """Return how many denominators of equal size would weigh as much (Kish)."""
    square = _square(denominator)
    return min(total / square * total if square > 0 else 0.0, sum(denominator.n))


def _is_zero_or_one(total: float, denominator: Cell) -> bool:
    return isclose(total, _square(denominator), rel_tol=_ROUNDING)
