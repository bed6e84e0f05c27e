"""What a kill reached, for the person who must know whether it is one."""

import shlex
from collections.abc import Iterator

from flipback.app import Kill
from flipback.assignment import EVERYBODY
from flipback.cli._routes import VARIABLE, not_planned, planned
from flipback.config import Reading
from flipback.control import Delivered, release_command
from flipback.latch import scope_of
from flipback.plan import nearest


def kill_text(kill: Kill, reading: Reading) -> Iterator[str]:
    """Yield the lines of one kill; the first says whether control serves."""
    latch = kill.latch
    yield _headline(kill, reading)
    yield f"  ledger: {'written' if kill.durable else 'NOT WRITTEN'}"
    yield f"  store: {'written' if kill.stored else 'NOT WRITTEN'}"
    yield f"  flag service: {_flag(kill, reading)}"
    yield f"  processes: {_processes(kill)}"
    if kill.problem:
        yield f"  problem: {kill.problem}"
    if kill.recorded:
        yield f"  release it with: {release_command(latch.route, latch.trip)}"
    else:
        yield from _break_glass(kill, reading)


def _headline(kill: Kill, reading: Reading) -> str:
    name, trip = kill.latch.route, kill.latch.trip
    route, cohort = scope_of(name)
    if not kill.recorded:
        if kill.flag is Delivered.APPLIED:
            return f"{name}: NOT RECORDED; only the flag itself serves control now"
        return f"{name}: NOT KILLED: nothing could be written"
    known = planned(reading)
    if route not in known:
        hint = nearest(route, known, otherwise="check its name")
        return f"{not_planned(route, reading)}; latched all the same; {hint}"
    whom = "" if cohort == EVERYBODY else f" to {cohort}, and nothing else changes"
    return f"{name}: {_obedience(kill, trip)}{whom}"


def _obedience(kill: Kill, trip: int) -> str:
    if not kill.counted:
        return f"trip {trip} is recorded; whether running processes obey is unknown"
    if kill.acknowledged >= kill.processes:
        return f"killed by trip {trip}; control serves"
    if not kill.acknowledged:
        return f"trip {trip} is recorded; no running process obeys yet"
    return (
        f"trip {trip} is recorded; {kill.acknowledged} of {kill.processes} "
        "running processes obey yet"
    )


def _break_glass(kill: Kill, reading: Reading) -> Iterator[str]:
    file = shlex.quote(str(reading.settings.force_control_file))
    yield f"  run it again as the user of the application, or touch {file}"
    route = shlex.quote(scope_of(kill.latch.route).route)
    yield (
        f"  (which forces control on every route), or set {VARIABLE}="
        f"{route} for the application and restart it"
    )


def _processes(kill: Kill) -> str:
    if not kill.counted:
        return "unknown: the store cannot be read"
    if not kill.processes:
        return "none is running"
    return f"{kill.acknowledged} of {kill.processes} acknowledged"


def _flag(kill: Kill, reading: Reading) -> str:
    match kill.flag:
        case Delivered.APPLIED:
            return "applied"
        case Delivered.PENDING:
            return f"NOT APPLIED{_who_goes_on(kill)}"
        case Delivered.BLOCKED:
            local = "; the kill stays local until it is allowed"
            return f"REFUSED{local if kill.recorded else ''}"
        case Delivered.NO_WRITER:
            return f"NOT TOLD, {_why_untold(kill.latch.route, reading)}"


def _who_goes_on(kill: Kill) -> str:
    """Return who will deliver the rest; only what is recorded can be taken up."""
    if not kill.recorded:
        return ""
    if not kill.counted:
        return " YET, processes that run or start go on trying"
    if not kill.processes:
        return " YET, the next process that starts will try again"
    return " YET, running processes go on trying"


def _why_untold(name: str, reading: Reading) -> str:
    route = scope_of(name).route
    if route in {plan.route for plan in reading.settings.plans}:
        return "it cannot be written from here"
    if route in reading.unplanned:
        return "the plan of this route cannot be used"
    return "no plan names its flag"
