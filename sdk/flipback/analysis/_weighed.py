"""What an engine answers, before it is put beside the other tests."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import exp, inf, isfinite, isnan, log

from flipback.analysis._weights import Test
from flipback.assignment import EVERYBODY
from flipback.plan import (
    SMALLEST_HARM,
    SMALLEST_HARM_OF_A_COHORT,
    FailsOn,
    Guardrail,
)
from flipback.stats import Harm, either
from flipback.verdict import Arms


_LARGEST_EXPONENT = 700.0
_LARGEST_COUNT = 1e18
_HARMS: dict[FailsOn, tuple[Harm, ...]] = {
    FailsOn.INCREASE: (1,),
    FailsOn.DECREASE: (-1,),
    FailsOn.CHANGE: (1, -1),
}


class Engine(StrEnum):
    """The engine that weighed the evidence."""

    NORMAL_MIXTURE = "normal mixture"
    RATE = "rate engine"
    ONE_SAMPLE = "one-sample engine"
    MCNEMAR = "McNemar's engine"
    RATE_AND_MCNEMAR = "rate and McNemar's engines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed(Arms):
    """What one engine says at one look; without enough evidence log E is 0.

    Attributes:
        engine: Which one.
        log_e: Finite, always.
        note: Why nothing can be said, or empty.
        breached_by_control: Whether control is proven to breach the same limit.
        grown: log E if there were so many times as much of the same evidence; None
            where nothing was weighed.
    """

    engine: Engine
    log_e: float = 0.0
    note: str = ""
    breached_by_control: bool = False
    grown: Callable[[float], float] | None = None


def too_large(metric: str) -> str:
    """Return the note of a metric whose sums are no numbers that can be weighed."""
    return (
        f"a value of {metric} is too large to weigh; record it in another unit and "
        "begin a new attempt"
    )


def too_far_apart(metric: str) -> str:
    """Return the note of a metric whose evidence overflows, though its sums do not."""
    return (
        f"the values of {metric} are too small or too far apart to weigh; record them "
        "in another unit and begin a new attempt"
    )


def finite(value: float | None) -> float | None:
    """Return a value to be shown, None if there is no finite one."""
    return value if value is not None and isfinite(value) else None


def harms_of(guardrail: Guardrail) -> tuple[Harm, ...]:
    """Return the signs of harm: one, or both where any change is harm."""
    return _HARMS[guardrail.fails_on]


def towards(guardrail: Guardrail, log_e: Callable[[Harm], float]) -> float:
    """Return the evidence of harm in the direction that is harm, or in either."""
    weighed = [log_e(harm) for harm in harms_of(guardrail)]
    return weighed[0] if len(weighed) == 1 else either(*weighed)


def margin_of(guardrail: Guardrail) -> float:
    """Return the relative harm that does not roll back: the tolerance, or none.

    A plan that tolerates 5 % more cost is not rolled back for 4 %; one that names
    no tolerance is rolled back for any harm that is proven.
    """
    return guardrail.tolerance or 0.0


def smallest_harm(test: Test) -> float:
    """Return the smallest relative harm that a test is tuned to catch."""
    if test.guardrail.smallest_harm is not None:
        return test.guardrail.smallest_harm
    everybody = test.cohort == EVERYBODY
    return SMALLEST_HARM if everybody else SMALLEST_HARM_OF_A_COHORT


def two_sided(alpha: float) -> float:
    """Return the log threshold of each of the two tests that bound an interval."""
    return log(2) - log(alpha)


def whole(count: float) -> int:
    """Return a count to be shown; 0 where it is no number, and never a huge one."""
    return round(min(max(count, 0.0), _LARGEST_COUNT)) if not isnan(count) else 0


def exponential(logarithm: float) -> float:
    """Return e to this power, infinite where it would overflow."""
    return exp(logarithm) if logarithm < _LARGEST_EXPONENT else inf
