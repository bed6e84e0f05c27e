"""Engines that weigh mergeable sums; every answer is the logarithm of an e-value.

An e-value has expectation at most 1 while the candidate is not worse, at every
look and whatever the looks depend on; `log_e >= log(1 / alpha)` therefore happens
by mistake with probability alpha at most, over the whole rollout (Ville 1939).
Pure functions on the standard library's `math`.
"""

from flipback.stats._arm import (
    MIN_CANDIDATE,
    MIN_CONTROL,
    Arm,
    Harm,
    Pair,
    uncentred,
)
from flipback.stats._average import average, either
from flipback.stats._design import design_effect, of_either, recurrence
from flipback.stats._least import least
from flipback.stats._normal_mixture import half_width, normal_mixture
from flipback.stats._one_sample import one_sample, split_ratio
from flipback.stats._paired import MIN_PAIRS, Discordance, PairedArm, mcnemar
from flipback.stats._planning import needed_info, needed_subjects, needed_trials
from flipback.stats._rate import (
    MOST_OF_A_FALL,
    RATIOS,
    RateStratum,
    rate_engine,
    rates,
    rule_out,
    ruling_out_ratios,
)
from flipback.stats._rate_interval import rate_interval
from flipback.stats._score import Score, score_against_limit, stratified_score
from flipback.stats._zero import zero_between


__all__ = [
    "MIN_CANDIDATE",
    "MIN_CONTROL",
    "MIN_PAIRS",
    "MOST_OF_A_FALL",
    "RATIOS",
    "Arm",
    "Discordance",
    "Harm",
    "Pair",
    "PairedArm",
    "RateStratum",
    "Score",
    "average",
    "design_effect",
    "either",
    "half_width",
    "least",
    "mcnemar",
    "needed_info",
    "needed_subjects",
    "needed_trials",
    "normal_mixture",
    "of_either",
    "one_sample",
    "rate_engine",
    "rate_interval",
    "rates",
    "recurrence",
    "rule_out",
    "ruling_out_ratios",
    "score_against_limit",
    "split_ratio",
    "stratified_score",
    "uncentred",
    "zero_between",
]
