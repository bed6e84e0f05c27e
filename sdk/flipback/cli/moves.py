"""`flipback start | promote | pause | resume | finish`: a person moves a rollout."""

import math
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from flipback.app import Moved, Operator
from flipback.app._open import open_store
from flipback.cli._arguments import Command, Options, who_and_why
from flipback.cli._cohorts import declared
from flipback.cli._exit import ExitCode
from flipback.cli._in_words import reworded
from flipback.cli._move_text import moved_json, moved_text
from flipback.cli._places import is_not_there_yet
from flipback.cli._rollout_text import Rollout
from flipback.cli._routes import latch_of, plan_named
from flipback.cli._shell import Shell, say_json, tell, warn, whoami
from flipback.config import Settings, read_settings
from flipback.plan import RolloutPlan
from flipback.rollout import Move, Phase
from flipback.steering import elapsed, stage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One move: how it is asked for, and what it does.

    Attributes:
        name: The command.
        move: What it is to the rollout.
        past: What a refused move did not become.
        help: What it does.
        why: What `--reason` is for.
        must_say: Whether a reason is required.
        declare: Declares the options that no other move has.
        act: Makes the move, for an actor.
    """

    name: str
    move: Move
    past: str
    help: str
    why: str = "why, for the ledger"
    must_say: bool = False
    declare: Callable[[ArgumentParser], None]
    act: Callable[[Operator, Options, str], Moved]


def _nothing(_: ArgumentParser) -> None:
    """Declare no options of its own."""


def _accept(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--accept",
        metavar="COHORT",
        action="append",
        default=[],
        help="take the doubt about a cohort that the gate asks about; may be repeated",
    )


def _accept_plan(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--accept-plan",
        action="store_true",
        help="go on by the plan in the files, although it promises less",
    )


def _start(operator: Operator, options: Options, actor: str) -> Moved:
    return operator.start(options.route, actor=actor, reason=options.reason or "")


def _promote(operator: Operator, options: Options, actor: str) -> Moved:
    return operator.promote(
        options.route,
        actor=actor,
        accept=tuple(options.accept),
        reason=options.reason or "",
    )


def _pause(operator: Operator, options: Options, actor: str) -> Moved:
    return operator.pause(options.route, actor=actor, reason=options.reason or "")


def _resume(operator: Operator, options: Options, actor: str) -> Moved:
    return operator.resume(
        options.route,
        actor=actor,
        accept_plan=options.accept_plan,
        reason=options.reason or "",
    )


def _finish(operator: Operator, options: Options, actor: str) -> Moved:
    return operator.finish(options.route, actor=actor, reason=options.reason or "")


VERBS = (
    Verb(
        name="start",
        move=Move.START,
        past="started",
        help="begin an attempt at the first stage of the plan",
        why="why, for the ledger; in cool-down and quarantine it must be given",
        declare=_nothing,
        act=_start,
    ),
    Verb(
        name="promote",
        move=Move.PROMOTE,
        past="moved on",
        help="go on to the next stage, where the gate lets or a person decides",
        why="take the doubt about all that is undecided, skip the rest of the window, "
        "and say why",
        declare=_accept,
        act=_promote,
    ),
    Verb(
        name="pause",
        move=Move.PAUSE,
        past="paused",
        help="stop moving on; the split stays as it is, and the guard guards",
        must_say=True,
        declare=_nothing,
        act=_pause,
    ),
    Verb(
        name="resume",
        move=Move.RESUME,
        past="resumed",
        help="go on from the split that the flag service has now",
        declare=_accept_plan,
        act=_resume,
    ),
    Verb(
        name="finish",
        move=Move.FINISH,
        past="finished",
        help="end the watch after a promotion",
        why="why, for the ledger; before the watch is over it must be given",
        declare=_nothing,
        act=_finish,
    ),
)


def _declare(verb: Verb, parser: ArgumentParser) -> None:
    parser.add_argument("route", metavar="ROUTE", help=f"the route to {verb.name}")
    verb.declare(parser)
    who_and_why(parser, who="does it", why=verb.why, must_say=verb.must_say)


def _run(verb: Verb, options: Options, shell: Shell) -> ExitCode:
    reading = read_settings(shell.config(options.config))
    for mistake in reading.mistakes:
        warn(str(mistake))
    plan = plan_named(options.route, reading)
    if verb.declare is _accept:
        declared(options.accept, plan, reading, option="--accept")
    left = _left(plan, reading.settings, shell) if verb.move is Move.PROMOTE else None
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        moved = verb.act(operator, options, options.actor or whoami())
        latch = latch_of(plan.route, operator) if moved.refused else None
    if latch is not None:
        moved = reworded(moved, verb.move, latch)
    skips = timedelta(0) if moved.refused or left is None else left
    code, guard = _exit_code(moved), reading.settings.guard
    if options.json:
        answer = moved_json(moved, verb.name, guard, code, skips=skips)
        return tell(lambda: say_json(answer), code)
    lines = moved_text(moved, verb.past, guard, latch=latch, skips=skips)
    return tell(lambda: print(*lines, sep="\n"), code)


def _left(plan: RolloutPlan, settings: Settings, shell: Shell) -> timedelta:
    """Return what is left of the window of the stage in force, in whole seconds."""
    store = open_store(settings, shell.clock)
    try:
        if is_not_there_yet(settings):
            return timedelta(0)
        record = store.rollout(plan.route)
    finally:
        store.close()
    if not record.phase.runs or record.phase is Phase.WATCH:
        return timedelta(0)
    going = Rollout(plan=plan, record=record, phase=record.phase).going
    lasted = elapsed(record, shell.clock.now().timestamp())
    left = stage_of(going, record).window - lasted
    return timedelta(seconds=max(0, math.floor(left.total_seconds())))


def _exit_code(moved: Moved) -> ExitCode:
    if moved.refused:
        return ExitCode.REFUSED
    if moved.pending:
        return ExitCode.UNAVAILABLE
    return ExitCode.OK if moved.recorded else ExitCode.NOT_DURABLE


MOVES = tuple(
    Command(
        name=verb.name,
        help=verb.help,
        declare=partial(_declare, verb),
        run=partial(_run, verb),
    )
    for verb in VERBS
)
