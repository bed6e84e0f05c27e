"""What is right, and yet not what its author may think."""

from collections.abc import Iterator

from flipback.config import GuardRun, Reading
from flipback.plan import RolloutPlan
from flipback.steering import weight_of


def cautions(reading: Reading) -> Iterator[str]:
    """Yield in a sentence each what files say that a person should know."""
    settings = reading.settings
    if settings.guard.run is GuardRun.MANUAL:
        yield (
            f'{settings.path.name}: [guard] run: "manual": no stage is left and '
            "nothing is rolled back unless the application drives the looks of its "
            "router"
        )
    if settings.guard.dry_run:
        yield (
            f"{settings.path.name}: [guard] dry_run: verdicts are recorded, and "
            "nothing is rolled back or moved on"
        )
    for plan, file in zip(settings.plans, reading.files, strict=True):
        yield from _stages(plan, file)


def flipped_whole(plan: RolloutPlan, file: str) -> Iterator[str]:
    """Yield each guardrail of a cohort where flags cannot flip back a cohort."""
    for number, guardrail in enumerate(plan.guardrails, start=1):
        if guardrail.scope == "cohort":
            yield (
                f'{file}: [guardrails[{number}]] scope: "cohort": this flag service '
                "cannot serve control to one cohort alone, so everybody is rolled back"
            )


def _stages(plan: RolloutPlan, file: str) -> Iterator[str]:
    """Yield a last stage that the holdback makes equal to the one before."""
    last = len(plan.stages) - 1
    if not last or plan.stages[last - 1].weight is None:
        return
    weight = weight_of(plan, last)
    if weight == weight_of(plan, last - 1):
        yield (
            f"{file}: [stages[{last + 1}]] weight: with a holdback of "
            f"{plan.holdback:g} % it gives the candidate {weight:g} % of subjects, as "
            "the stage before does; leave the stage out, or write a smaller holdback"
        )
