"""Engines that weigh mergeable sums; every answer is the logarithm of an e-value.

An e-value has expectation at most 1 while the candidate is not worse, at every
look and whatever the looks depend on; `log_e >= log(1 / alpha)` therefore happens
by mistake with probability alpha at most, over the whole rollout (Ville 1939).
Pure functions on the standard library's `math`.
"""

from flipback.stats._average import average
from flipback.stats._normal_mixture import half_width, normal_mixture
from flipback.stats._one_sample import one_sample
from flipback.stats._rate import RateStratum, rate_engine, rate_interval, rates
from flipback.stats._score import (
    MIN_CANDIDATE,
    MIN_CONTROL,
    Arm,
    Harm,
    Pair,
    Score,
    design_effect,
    score_against_limit,
    stratified_score,
)


__all__ = [
    "MIN_CANDIDATE",
    "MIN_CONTROL",
    "Arm",
    "Harm",
    "Pair",
    "RateStratum",
    "Score",
    "average",
    "design_effect",
    "half_width",
    "normal_mixture",
    "one_sample",
    "rate_engine",
    "rate_interval",
    "rates",
    "score_against_limit",
    "stratified_score",
]
