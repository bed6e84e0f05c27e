"""Weigh rare events by the rate engine, on distinct subjects.

Counting subjects, not requests, makes a retry storm one event.
"""

from collections.abc import Sequence

from flipback.analysis._weighed import Engine, Weighed, harm_of, margin_of, two_sided
from flipback.analysis._weights import Test
from flipback.stats import RateStratum, rate_engine, rate_interval, rates
from flipback.verdict import Interval


def weigh_events(test: Test, strata: Sequence[RateStratum], *, alpha: float) -> Weighed:
    """Weigh one guardrail on an event metric; the rate engine has no burn-in."""
    entered = [each for each in strata if each.candidate_n and each.control_n]
    control_n = sum(stratum.control_n for stratum in strata)
    candidate_n = sum(stratum.candidate_n for stratum in strata)
    values = rates(entered)
    return Weighed(
        engine=Engine.RATE,
        log_e=_log_e(test, entered),
        control_n=control_n,
        candidate_n=candidate_n,
        control_value=values[0] if values else _pooled(strata, candidate=False),
        candidate_value=values[1] if values else _pooled(strata, candidate=True),
        interval=_interval(entered, alpha),
        strata=len(entered),
        note=_missing(control_n, candidate_n, len(entered)),
    )


def _log_e(test: Test, entered: Sequence[RateStratum]) -> float:
    margin = margin_of(test.guardrail)
    if harm_of(test.guardrail) > 0:
        return rate_engine(entered, margin=margin)
    if margin >= 1:
        return 0.0
    turned = [stratum.turned for stratum in entered]
    return rate_engine(turned, margin=margin / (1 - margin))


def _interval(entered: Sequence[RateStratum], alpha: float) -> Interval | None:
    return rate_interval(entered, log_threshold=two_sided(alpha)) if entered else None


def _pooled(strata: Sequence[RateStratum], *, candidate: bool) -> float | None:
    arms = [s if candidate else s.turned for s in strata]
    exposed = sum(arm.candidate_n for arm in arms)
    return sum(arm.candidate_events for arm in arms) / exposed if exposed else None


def _missing(control_n: int, candidate_n: int, entered: int) -> str:
    if entered:
        return ""
    if not candidate_n:
        return "no subject was exposed to the candidate"
    if not control_n:
        return "no subject was exposed to control"
    return "no stratum has subjects in both arms"
