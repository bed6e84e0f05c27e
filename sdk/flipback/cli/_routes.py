"""Names of routes that people give: whether a plan is about them."""

from collections.abc import Iterator, Sequence
from typing import NoReturn

from flipback.app import Operator
from flipback.cli._shell import Shell
from flipback.config import Reading
from flipback.control import ForcedControl
from flipback.errors import ConfigError, Mistake
from flipback.latch import Latch
from flipback.plan import Problem, RolloutPlan, nearest


VARIABLE = "FLIPBACK_FORCE_CONTROL"
_ALL = "*"


def planned(reading: Reading) -> Sequence[str]:
    """Return the routes that plans name, also those whose plans have mistakes."""
    routes = [plan.route for plan in reading.settings.plans]
    return sorted({*routes, *reading.unplanned})


def not_planned(route: str, reading: Reading) -> str:
    """Return that no plan names this route, and which routes are known."""
    known = ", ".join(planned(reading)) or "none"
    return f"no plan names route {route!r} (known: {known})"


def plan_named(route: str, reading: Reading) -> RolloutPlan:
    """Return the plan about a route.

    Raises:
        ConfigError: No plan is about it, or its plan has mistakes.
    """
    for plan in reading.settings.plans:
        if plan.route == route:
            return plan
    if route in reading.unplanned:
        problem = Problem(
            problem=f"the plan of {route} has mistakes, so nothing was done",
            remedy="correct it; `flipback check` names them all",
        )
    else:
        hint = nearest(route, planned(reading), otherwise="check its name")
        problem = Problem(problem=not_planned(route, reading), remedy=hint)
    return refuse(reading, "ROUTE", problem)


def latch_of(route: str, operator: Operator) -> Latch:
    """Return the latch of a route; of one that is not known, one never killed."""
    latches = (each.latch for each in operator.status() if each.plan.route == route)
    return next(latches, Latch(route=route))


def refuse(reading: Reading, option: str, found: Problem) -> NoReturn:
    """Say what is wrong with an argument, as mistakes in files are said.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        [
            Mistake(
                file=str(reading.settings.path),
                table="",
                key=option,
                problem=found.problem,
                remedy=found.remedy,
            )
        ]
    )


def _forced(reading: Reading, shell: Shell) -> Sequence[tuple[str, str]]:
    """Return what is forced to control: who forces it, and the route or `*`."""
    file = reading.settings.force_control_file
    by_file = ForcedControl({}, file).routes()
    both = ForcedControl(shell.environ, file).routes()
    return [
        *((VARIABLE, route) for route in sorted(both - by_file)),
        *((file.name, route) for route in sorted(by_file)),
    ]


def forced_for_nothing(reading: Reading, shell: Shell) -> Iterator[Mistake]:
    """Yield a mistake for each forced route that no plan names: it forces nothing."""
    known = planned(reading)
    for source, route in _forced(reading, shell):
        if route not in {_ALL, *known}:
            yield Mistake(
                file=source,
                table="",
                key="route",
                problem=f"forces {route!r}, which no plan names",
                remedy=nearest(
                    route,
                    known,
                    otherwise=f"name one of: {', '.join(known) or _ALL}",
                ),
            )


def forced_notes(reading: Reading, shell: Shell) -> Iterator[str]:
    """Yield in one sentence each what serves control because somebody forces it."""
    known = planned(reading)
    for source, route in _forced(reading, shell):
        if route == _ALL:
            yield f"{source} forces control on every route"
        elif route in known:
            yield f"{source} forces control on route {route}"
