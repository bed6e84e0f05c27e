"""Weigh rare events: the rate engine on subjects of a split, McNemar's on pairs.

Counting subjects, not requests, makes a retry storm one event. Who returns in another
stratum, as under the next epoch or in the next hour, is counted there again: how much
strata have in common is told by the buckets. Pairs are counted by
request and divided by the design effect of their differences. No call is both, and
which arm of a pair fails is a fair coin whatever the call and its subject, so the
product of the two e-values is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

from flipback.analysis._means import all_weighable, difference, pairs_of
from flipback.analysis._strata import Strata
from flipback.analysis._weighed import (
    Engine,
    Weighed,
    margin_of,
    too_large,
    towards,
    two_sided,
    whole,
)
from flipback.analysis._weights import Test
from flipback.stats import (
    Harm,
    PairedArm,
    RateStratum,
    design_effect,
    mcnemar,
    of_either,
    rate_engine,
    rate_interval,
    rates,
    recurrence,
    stratified_score,
)
from flipback.verdict import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """All that is known of events in both arms.

    Attributes:
        strata: Every stratum of a split, compared or not.
        entered: Those with subjects in both arms, numbers over the recurrence.
        paired: Strata of calls that both arms answered, values 0 and 1.
        discordant: Pairs with an event under the candidate alone, control alone,
            and both, over the design effect.
        deff: That design effect; distinct subjects need none.
        recurrence: Strata that a subject counts in, as if it were in one.
    """

    strata: tuple[RateStratum, ...]
    entered: tuple[RateStratum, ...]
    paired: tuple[PairedArm, ...] = ()
    discordant: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deff: float = 1.0
    recurrence: float = 1.0

    @classmethod
    def of(cls, test: Test, strata: Strata) -> "Events":
        """Return events of subjects and of pairs; pairs that are not 0/1 are left out.

        So are pairs that cannot be weighed.
        """
        split, again = strata.rates(test), _recurrence(test, strata)
        entered = tuple(s for s in split if s.candidate_n and s.control_n)
        binary = binary_of(strata.pairs(test))
        total = sum([arm.n for arm in binary])
        deff = design_effect([(arm.difference, arm.n / total) for arm in binary])
        counts = [arm.discordance for arm in binary]
        return cls(
            strata=split,
            entered=tuple(s.over(again) for s in entered) if again > 1 else entered,
            paired=binary,
            discordant=(
                sum([each.candidate_only for each in counts]) / deff,
                sum([each.control_only for each in counts]) / deff,
                sum([each.both for each in counts]) / deff,
            ),
            deff=deff,
            recurrence=again,
        )

    def log_e(self, harm: Harm, *, margin: float, times: float = 1.0) -> float:
        """Return the evidence of harm beyond a relative margin, 0 without any events.

        Args:
            harm: The direction.
            margin: What is tolerated; may be negative, down to what leaves no rate.
            times: As if there were so many times as much of the same evidence.
        """
        if harm < 0 and margin >= 1:
            return 0.0
        log_e = 0.0
        if self.entered:
            strata = self.entered if times == 1 else _grown(self.entered, times)
            turned = strata if harm > 0 else [stratum.turned for stratum in strata]
            ratio = 1 + margin if harm > 0 else 1 / (1 - margin)
            log_e += rate_engine(turned, margin=ratio - 1)
        if self.paired:
            only, other, both = (times * count for count in self.discordant)
            log_e += mcnemar(only, other, both, margin=margin, harm=harm)
        return log_e


def weigh_events(test: Test, strata: Strata, *, alpha: float | None) -> Weighed:
    """Weigh one guardrail on an event metric; neither engine has a burn-in.

    Args:
        test: The test.
        strata: All evidence.
        alpha: Of the interval; None where nobody will see it, nor which epochs
            entered.
    """
    paired = strata.pairs(test)
    if not all_weighable([arm.difference for arm in paired]):
        return Weighed(engine=Engine.RATE, note=too_large(test.guardrail.metric))
    events = Events.of(test, strata)
    control, candidate = _values(events)
    grown = partial(_log_e, test, events)
    log_e = grown(1.0)
    weighed = bool(events.entered or events.paired) and isfinite(log_e)
    return Weighed(
        engine=_engine(events),
        log_e=log_e if weighed else 0.0,
        control_n=whole(sum([stratum.control_n for stratum in events.strata])),
        candidate_n=whole(sum([stratum.candidate_n for stratum in events.strata])),
        control_value=control,
        candidate_value=candidate,
        interval=None if alpha is None else _interval(events, alpha),
        deff=max(events.deff, events.recurrence),
        strata=len(events.entered) + len(events.paired),
        epochs=() if alpha is None else strata.epochs_of(test),
        pairs=pairs_of(events.paired),
        note="" if weighed else _missing(events.strata),
        grown=grown if weighed else None,
    )


def binary_of(paired: Sequence[PairedArm]) -> tuple[PairedArm, ...]:
    """Return the pairs whose values are 0 and 1."""
    return tuple(arm for arm in paired if arm.is_weighable and arm.is_binary)


def _recurrence(test: Test, strata: Strata) -> float:
    """Return the strata that a subject counts in, for both arms."""
    control, candidate = (recurrence(arms) for arms in strata.requests(test))
    return of_either(control, candidate)


def _log_e(test: Test, events: Events, times: float) -> float:
    return towards(
        test.guardrail,
        lambda harm: events.log_e(harm, margin=margin_of(test.guardrail), times=times),
    )


def _grown(strata: Sequence[RateStratum], times: float) -> list[RateStratum]:
    return [stratum.grown(times) for stratum in strata]


def _engine(events: Events) -> Engine:
    if not events.paired:
        return Engine.RATE
    return Engine.RATE_AND_MCNEMAR if events.entered else Engine.MCNEMAR


def _values(events: Events) -> tuple[float | None, float | None]:
    """Return the rates of control and candidate at one mix: of subjects, else pairs."""
    if values := rates(events.entered):
        return values
    if events.paired:
        plain = [(arm.n, arm.control.mean, arm.candidate.mean) for arm in events.paired]
        total = sum([n for n, _, _ in plain])
        control = sum([n * mean for n, mean, _ in plain]) / total
        return control, sum([n * mean for n, _, mean in plain]) / total
    strata = events.strata
    return _pooled([stratum.turned for stratum in strata]), _pooled(strata)


def _interval(events: Events, alpha: float) -> Interval | None:
    """Return the confidence sequence of the difference: of subjects, else of pairs.

    Both would have to share alpha; where there are subjects of a split, pairs add to
    the evidence alone.
    """
    if events.entered:
        return rate_interval(events.entered, log_threshold=two_sided(alpha))
    score = stratified_score([], paired=events.paired) if events.paired else None
    if score is None:
        return None
    only, other, _ = events.discordant
    mei = events.deff * (only + other) / pairs_of(events.paired) / 2
    return difference(score, mei=mei, log_threshold=two_sided(alpha))


def _pooled(strata: Sequence[RateStratum]) -> float | None:
    exposed = sum([stratum.candidate_n for stratum in strata])
    events = sum([stratum.candidate_events for stratum in strata])
    return events / exposed if exposed else None


def _missing(strata: Sequence[RateStratum]) -> str:
    if not any(stratum.candidate_n for stratum in strata):
        return "no subject was exposed to the candidate"
    if not any(stratum.control_n for stratum in strata):
        return "no subject was exposed to control"
    return "no stratum has subjects in both arms"
