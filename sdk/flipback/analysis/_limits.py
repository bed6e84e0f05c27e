"""Weigh absolute limits on the candidate alone.

Events and 0/1 metrics go through the one-sample engine, which is exact; other
metrics compare their mean with the limit by the normal mixture. A limit that
control breaches as well is a matter for people: rolling back would not help.
"""

from collections.abc import Sequence
from math import isclose, isfinite, log, sqrt
from typing import NamedTuple

from flipback.analysis._means import (
    BURN_IN,
    all_weighable,
    burn_in,
    count,
    pooled_mean,
)
from flipback.analysis._strata import Means
from flipback.analysis._weighed import (
    Engine,
    Weighed,
    harm_of,
    smallest_harm,
    too_far_apart,
    too_large,
)
from flipback.analysis._weights import Test
from flipback.stats import (
    MIN_CANDIDATE,
    Arm,
    RateStratum,
    design_effect,
    normal_mixture,
    one_sample,
    score_against_limit,
)


BREACHED_BY_BOTH = "control breaches the limit as well, so rolling back would not help"
_NOTHING = "no observations of the candidate"
_CONSTANT = "all observations of the candidate have the same value"


class _Answer(NamedTuple):
    log_e: float
    deff: float = 1.0
    note: str = ""


class _Hits(NamedTuple):
    k: float
    n: int
    deff: float = 1.0


def weigh_event_limit(
    test: Test, limit: float, strata: Sequence[RateStratum], *, alpha: float
) -> Weighed:
    """Weigh a limit, between 0 and 1, on the share of subjects that see an event."""
    candidate = _Hits(
        sum(s.candidate_events for s in strata), sum(s.candidate_n for s in strata)
    )
    control = _Hits(
        sum(s.control_events for s in strata), sum(s.control_n for s in strata)
    )
    return _both(
        Weighed(
            engine=Engine.ONE_SAMPLE,
            control_n=control.n,
            candidate_n=candidate.n,
            control_value=control.k / control.n if control.n else None,
            candidate_value=candidate.k / candidate.n if candidate.n else None,
            strata=sum(1 for s in strata if s.candidate_n),
        ),
        _against(test, limit, candidate),
        _against(test, limit, control),
        alpha=alpha,
    )


def weigh_mean_limit(
    test: Test, limit: float, means: Means, *, alpha: float
) -> Weighed:
    """Weigh a limit on the mean of a metric."""
    binary = 0 < limit < 1 and _is_binary(means)
    engine = Engine.ONE_SAMPLE if binary else Engine.NORMAL_MIXTURE
    return _both(
        Weighed(
            engine=engine,
            control_n=count(means.control),
            candidate_n=count(means.candidate),
            control_value=pooled_mean(means.control),
            candidate_value=pooled_mean(means.candidate),
            strata=len(means.candidate),
        ),
        _judge(test, limit, means.candidate, engine),
        _judge(test, limit, means.control, engine),
        alpha=alpha,
    )


def _both(
    seen: Weighed, candidate: _Answer, control: _Answer, *, alpha: float
) -> Weighed:
    by_control = control.log_e >= log(1 / alpha)
    return Weighed(
        engine=seen.engine,
        log_e=candidate.log_e,
        control_n=seen.control_n,
        candidate_n=seen.candidate_n,
        control_value=seen.control_value,
        candidate_value=seen.candidate_value,
        deff=candidate.deff,
        strata=seen.strata,
        note=candidate.note or (BREACHED_BY_BOTH if by_control else ""),
        breached_by_control=by_control,
    )


def _against(test: Test, limit: float, hits: _Hits) -> _Answer:
    """Return the evidence of hits, each worth 1 / deff of an independent one."""
    k, n = hits.k / hits.deff, hits.n / hits.deff
    log_e = one_sample(k, n, limit=limit, harm=harm_of(test.guardrail))
    return _Answer(log_e, hits.deff, "" if hits.n else _NOTHING)


def _judge(test: Test, limit: float, arms: Sequence[Arm], engine: Engine) -> _Answer:
    if not arms:
        return _Answer(0.0, note=_NOTHING)
    if not all_weighable(arms):
        return _Answer(0.0, note=too_large(test.guardrail.metric))
    if engine is Engine.ONE_SAMPLE:
        return _judge_hits(test, limit, arms)
    return _judge_mean(test, limit, arms)


def _judge_hits(test: Test, limit: float, arms: Sequence[Arm]) -> _Answer:
    n = count(arms)
    deff = design_effect((arm, arm.n / n) for arm in arms)
    return _against(test, limit, _Hits(sum(sum(arm.cell.x) for arm in arms), n, deff))


def _judge_mean(test: Test, limit: float, arms: Sequence[Arm]) -> _Answer:
    entered = [arm for arm in arms if arm.n >= MIN_CANDIDATE]
    if note := burn_in("the candidate", entered, least=BURN_IN):
        return _Answer(0.0, note=note)
    score = score_against_limit(entered, limit=limit, harm=harm_of(test.guardrail))
    if score is None:
        return _Answer(0.0, note=_CONSTANT)
    deviation = sqrt(max(arm.variance for arm in entered))
    mei = smallest_harm(test) * (abs(limit) or deviation)
    log_e = normal_mixture(score.score, score.info, mei=mei)
    if not isfinite(log_e + score.deff):
        return _Answer(0.0, note=too_far_apart(test.guardrail.metric))
    return _Answer(log_e, score.deff)


def _is_binary(means: Means) -> bool:
    """Return whether every value is 0 or 1, of which the sums are a sure sign.

    An arm that cannot be weighed does not choose the engine of the other.
    """
    return all(
        arm.cell.origin == 0 and isclose(sum(arm.cell.x), arm.cell.xx, rel_tol=1e-12)
        for arm in (*means.control, *means.candidate)
        if arm.is_weighable
    )
