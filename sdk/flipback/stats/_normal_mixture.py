"""The normal mixture: one-sided evidence from a score and its information.

With s the score (a sum with mean zero while nothing is worse) and v its variance,
mixing the likelihood ratios exp(theta s - theta^2 v / 2) over theta > 0 with a
half-normal density of variance 1/rho = mei^2 gives

    log E = 1/2 log(4 rho / (v + rho)) + z^2 / 2 + log Phi(z),  z = s / sqrt(v + rho)

(Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2) 2021, proposition 6;
the method of mixtures goes back to Wald and Robbins). With a constant drift of mei
the information at which it crosses is smallest at rho = 1 / mei^2, and being wrong
by a factor of 2.5 costs 5 %.
"""

from math import erfc, exp, hypot, inf, log, log1p, pi, sqrt


_LOG_2 = log(2)
_HALF_LOG_2_PI = log(2 * pi) / 2
_FAR_TAIL = -30.0
_NEWTON_STEPS = 30
_CLOSE_ENOUGH = 1e-13


def normal_mixture(score: float, info: float, *, mei: float) -> float:
    """Return log E against "the drift of the score is not positive".

    Args:
        score: Sum of harm-signed differences, each over its variance.
        info: Variance of the score, at least 0. The estimate of the harm is
            score / info.
        mei: The smallest harm worth catching, in the metric's unit, positive.

    Never raises. Beyond the range of floating point, where z^2 is infinite, the
    answer is infinite as well, or not a number.
    """
    spread = hypot(1, sqrt(info) * mei)
    return _LOG_2 - log(spread) + _log_mills(score * (mei / spread))


def half_width(info: float, *, mei: float, log_threshold: float) -> float:
    """Return how far the harm may lie from its estimate, in the metric's unit.

    Solves `normal_mixture(d * info, info, mei=mei) == log_threshold` for d > 0:
    a harm is not rejected at this threshold exactly if the estimate exceeds it by
    less than d. The threshold is above log 2; without information d is infinite.
    """
    if not info:
        return inf
    target = log_threshold - _LOG_2 + log(hypot(1, sqrt(info) * mei))
    return _inverse_log_mills(target) * hypot(1 / mei / info, 1 / sqrt(info))


def _log_mills(z: float) -> float:
    """Return z^2 / 2 + log Phi(z) without the cancellation far in the lower tail."""
    if z >= 0:
        return z * z / 2 + log1p(-erfc(z / sqrt(2)) / 2)
    if z > _FAR_TAIL:
        return z * z / 2 + log(erfc(-z / sqrt(2)) / 2)
    u = 1 / (z * z)
    series = -u * (1 - u * (3 - u * (15 - u * (105 - u * 945))))
    return log1p(series) - log(-z) - _HALF_LOG_2_PI


def _inverse_log_mills(target: float) -> float:
    """Return the z > 0 where z^2 / 2 + log Phi(z) is the target, a positive number.

    The function is convex and rises, and the start lies above the solution, so
    Newton's steps only ever fall towards it.
    """
    z = sqrt(2 * (target + _LOG_2))
    for _ in range(_NEWTON_STEPS):
        value = _log_mills(z)
        mills = exp(-value - _HALF_LOG_2_PI)
        step = (value - target) / (z + mills)
        z -= step
        if step < _CLOSE_ENOUGH * z:
            break
    return z
