"""What an engine answers, before it is put beside the other tests."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, log

from flipback.analysis._weights import Test
from flipback.assignment import EVERYBODY
from flipback.plan import FailsOn, Guardrail
from flipback.stats import Harm
from flipback.verdict import Interval


HARM_OF_EVERYBODY = 0.1
HARM_OF_A_COHORT = 0.2


class Engine(StrEnum):
    """The engine that weighed the evidence."""

    NORMAL_MIXTURE = "normal mixture"
    RATE = "rate engine"
    ONE_SAMPLE = "one-sample engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What one engine says at one look; without enough evidence log E is 0.

    Attributes:
        log_e: Finite, always.
        breached_by_control: Whether control is proven to breach the same limit.
    """

    engine: Engine
    log_e: float = 0.0
    control_n: int = 0
    candidate_n: int = 0
    control_value: float | None = None
    candidate_value: float | None = None
    interval: Interval | None = None
    deff: float = 1.0
    strata: int = 0
    note: str = ""
    breached_by_control: bool = False


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


def harm_of(guardrail: Guardrail) -> Harm:
    """Return the sign of harm."""
    return 1 if guardrail.fails_on is FailsOn.INCREASE else -1


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
    return HARM_OF_EVERYBODY if test.cohort == EVERYBODY else HARM_OF_A_COHORT


def two_sided(alpha: float) -> float:
    """Return the log threshold of each of the two tests that bound an interval."""
    return log(2) - log(alpha)
