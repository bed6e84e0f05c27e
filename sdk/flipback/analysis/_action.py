"""What a look asks for, and for whom."""

from collections.abc import Iterable
from typing import NamedTuple

from flipback.analysis._weights import Test
from flipback.assignment import EVERYBODY, Cohort
from flipback.verdict import Action


class Proven(NamedTuple):
    """What a look has established.

    Attributes:
        distrusted: Whether the split is not as set.
        harm: Whether the process of guardrails that roll back has crossed.
        doubt: Whether people must look: a guardrail that pauses, a limit that
            control breaches too, a hypothesis that is contradicted.
    """

    distrusted: bool
    harm: bool
    doubt: bool


def action_of(proven: Proven) -> Action:
    """Return the most urgent action that is asked for; HOLD if there is none."""
    asked = (
        (proven.distrusted, Action.FREEZE),
        (proven.harm, Action.ROLL_BACK),
        (proven.doubt, Action.PAUSE),
    )
    return next((action for holds, action in asked if holds), Action.HOLD)


def scope_of(attributed: Iterable[Test]) -> tuple[Cohort, ...]:
    """Return the cohorts to roll back, none for everybody.

    One cohort alone is rolled back only where all harm that has a name is that
    cohort's, under guardrails whose scope is the cohort. Harm without a name, in
    two cohorts, in the aggregate, or under a guardrail of the whole flag is
    everybody's.
    """
    tests = tuple(attributed)
    if any(test.guardrail.scope == "flag" for test in tests):
        return ()
    match sorted({test.cohort for test in tests}):
        case [cohort] if cohort != EVERYBODY:
            return (cohort,)
        case _:
            return ()
