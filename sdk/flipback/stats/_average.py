"""Averages of e-values, taken on their logarithms."""

from collections.abc import Sequence
from math import exp, fsum, inf, isinf, log


def average(log_es: Sequence[float], weights: Sequence[float]) -> float:
    """Return log G, G = sum of weight times e-value; the weights sum to 1.

    The average of e-values is an e-value however they depend on each other, and
    for "is anything broken" no other symmetric merging is better (Vovk & Wang,
    Annals of Statistics 49(3) 2021). All must belong to the same look: averaging
    running maxima has no such guarantee.

    Without any e-value the answer is 0, no evidence.
    """
    if not log_es:
        return 0.0
    terms = [
        log_e + log(weight) if weight > 0 else -inf
        for log_e, weight in zip(log_es, weights, strict=True)
    ]
    largest = max(terms)
    if isinf(largest):
        return largest
    return largest + log(fsum(exp(term - largest) for term in terms))


def either(log_e_up: float, log_e_down: float) -> float:
    """Return log of the mean of two e-values: evidence of a change of any direction."""
    return average((log_e_up, log_e_down), (0.5, 0.5))


def mean_of_exponentials(log_es: Sequence[float]) -> float:
    """Return log of the plain mean of e-values; there is at least one."""
    largest = max(log_es)
    total = fsum([exp(log_e - largest) for log_e in log_es])
    return largest + log(total / len(log_es))
