"""What else holds a stage: time, subjects, data that cannot be trusted, a hope."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from typing_extensions import override

from flipback.analysis._analyze import Analysis
from flipback.analysis._strata import Strata
from flipback.assignment import EVERYBODY, Cohort
from flipback.plan import RolloutPlan, Stage, Until, lasting
from flipback.verdict import Action, GateFinding, Hoped


class Lack(NamedTuple):
    """A cohort of which too few subjects have met the candidate."""

    cohort: Cohort
    seen: int
    wanted: int

    @override
    def __str__(self) -> str:
        """Return a sentence for people."""
        where = "" if self.cohort == EVERYBODY else f" of {self.cohort}"
        return (
            f"{self.seen:,} subjects{where} have met the candidate, the stage asks "
            f"for {self.wanted:,}"
        )


def lacking_subjects(
    plan: RolloutPlan,
    stage: Stage | None,
    strata: Strata,
    findings: Sequence[GateFinding],
    without: Collection[Cohort] = (),
) -> tuple[Lack, ...]:
    """Return everybody and the declared cohorts that a stage has too few of.

    Cohorts that are left out, as they are served control, are not asked for.

    In a shadow stage nobody meets the candidate; calls that both arms answered count.
    """
    wanted = 0 if stage is None else stage.min_exposures
    watched = [each for each in plan.declared_cohorts if each not in without]
    cohorts = (EVERYBODY, *watched) if wanted else ()
    pairs = {each.cohort: each.pairs for each in sorted(findings, key=_by_pairs)}
    shadow = stage is not None and stage.shadow is not None
    seen = [
        Lack(cohort, pairs.get(cohort, 0) if shadow else users, wanted)
        for cohort in cohorts
        for users in [strata.users(cohort)[1]]
    ]
    return tuple(lack for lack in seen if lack.seen < wanted)


def waits_of(
    stage: Stage | None,
    elapsed: timedelta | None,
    look: Analysis,
    lacks: Sequence[Lack],
) -> tuple[str, ...]:
    """Return every reason to hold that is no guardrail's, a sentence each."""
    return (
        *look.frozen,
        *look.faults,
        *_window(stage, elapsed),
        *map(str, lacks),
        *_people(look),
        *([] if stage is not None and stage.until is Until.WARM else _hope(look)),
    )


def _window(stage: Stage | None, elapsed: timedelta | None) -> Iterator[str]:
    window = timedelta(0) if stage is None else stage.window
    if not window:
        return
    if elapsed is None:
        least = lasting(window)
        yield f"the stage lasts {least} at least, and since when it does is not known"
    elif elapsed < window:
        left = lasting(window - elapsed)
        yield f"the stage lasts {lasting(window)} at least, {left} of it are left"


def _people(look: Analysis) -> Iterator[str]:
    if look.action is Action.PAUSE:
        named = [finding.metric for finding in look.paused]
        hoped = look.hypothesis
        if hoped is not None and hoped.verdict is Hoped.CONTRADICTED:
            named.append(f"what was hoped of {hoped.metric}")
        why = ", ".join(dict.fromkeys(named))
        yield f"the rollout should pause because of {why}: people must look"


def _hope(look: Analysis) -> Iterator[str]:
    hoped = look.hypothesis
    if hoped is not None and hoped.required and hoped.verdict is not Hoped.SHOWN:
        yield f"the effect on {hoped.metric} is required, and it is {hoped.verdict}"


def _by_pairs(finding: GateFinding) -> int:
    return finding.pairs
