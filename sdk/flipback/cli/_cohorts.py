"""Names of cohorts that people give: whether a plan declares them."""

from collections.abc import Iterable

from flipback.assignment import Cohort
from flipback.cli._routes import refuse
from flipback.config import Reading
from flipback.plan import Problem, RolloutPlan, nearest


def declared(
    cohorts: Iterable[Cohort], plan: RolloutPlan, reading: Reading, *, option: str
) -> None:
    """Refuse a cohort that the plan does not declare: nothing would be done to it.

    Raises:
        ConfigError: One of them is not declared.
    """
    known = plan.declared_cohorts
    for cohort in cohorts:
        if cohort not in known:
            names = f"it declares: {', '.join(known) or 'none'}"
            problem = Problem(
                problem=f"the plan of {plan.route} declares no cohort {cohort!r}",
                remedy=nearest(cohort, known, otherwise=names),
            )
            refuse(reading, option, problem)
