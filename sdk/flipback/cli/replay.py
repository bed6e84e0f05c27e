"""`flipback replay`: what a plan would have made of a log."""

import io
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import cast

from flipback.assignment import EVERYBODY
from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._plan_file import plan_in
from flipback.cli._replay_json import Json, repeated_json, replayed_json
from flipback.cli._replay_text import repeated_text, replayed_text
from flipback.cli._shell import Shell, is_terminal, say_json, warn
from flipback.errors import Mistake
from flipback.plan import RolloutPlan, nearest
from flipback.ports import Clock
from flipback.replay import (
    LOOK_EVERY,
    RUNS_AT_ONCE,
    Columns,
    Harm,
    LogError,
    Replay,
    Source,
    Stream,
    is_field,
    number,
)
from flipback.routing import Keyring


_PERCENT = 100.0
_QUIET_S = 2.0
_HARM = re.compile(r"(?P<metric>.+):(?P<size>[+-]\d*\.?\d+)(?P<percent>%?)")
_KEY = b"flipback replay"
"""Keys the hashes of subjects: the same log gives the same buckets everywhere."""


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "log",
        metavar="LOG",
        help="the log, JSON lines or CSV, also compressed by gzip; - is standard input",
    )
    parser.add_argument(
        "--plan", metavar="FILE", required=True, help="path of the plan file"
    )
    parser.add_argument(
        "--columns",
        metavar="FIELD=COLUMN,...",
        type=_columns,
        help="which column of a CSV log means what, where its name does not say",
    )
    parser.add_argument(
        "--weight",
        metavar="PERCENT",
        type=_percent,
        help="share of subjects that are given the candidate, where the log has none",
    )
    parser.add_argument(
        "--every",
        metavar="N",
        type=_count,
        default=LOOK_EVERY,
        help="candidate exposures between looks, from 100 on; default: 25",
    )
    _declare_trials(parser)


def _declare_trials(parser: ArgumentParser) -> None:
    """Declare what asks how the plan would do, instead of what it does."""
    parser.add_argument(
        "--aa",
        metavar="N",
        type=_count,
        help="exchange the arms at random, this often, and count false roll backs",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_seed,
        default=0,
        help="seed of --aa and --inject; default: 0",
    )
    parser.add_argument(
        "--inject",
        metavar="METRIC:CHANGE",
        type=_harm,
        help="make the candidate worse, and say how soon that is caught",
    )
    parser.add_argument(
        "--cohort",
        metavar="ATTRIBUTE=VALUE",
        default=EVERYBODY,
        help="make it worse in this cohort only",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    plan = plan_in(str(shell.cwd / options.plan), as_json=options.json)
    if isinstance(plan, ExitCode):
        return plan
    mistakes = list(_mistakes(plan, options))
    for mistake in mistakes:
        warn(str(mistake))
    if mistakes:
        if options.json:
            found = list(map(asdict, mistakes))
            say_json({"exit": int(ExitCode.USAGE), "mistakes": found})
        return ExitCode.USAGE
    try:
        _say(_replayed(plan, options, shell))
    except LogError as error:
        warn(str(error))
        if options.json:
            say_json({"exit": int(ExitCode.MISTAKES), "error": str(error)})
        return ExitCode.MISTAKES
    except KeyboardInterrupt:
        warn("interrupted; a replay changes nothing")
        return ExitCode.INTERRUPTED
    return ExitCode.OK


REPLAY = Command(
    name="replay",
    help="say what a plan would have made of a recorded log, and when",
    declare=_declare,
    run=_run,
)


def _replayed(plan: RolloutPlan, options: Options, shell: Shell) -> Json | str:
    replay = Replay(
        plan=plan,
        subject=Keyring(lambda: _KEY, shell.clock).subject,
        columns=options.columns,
        weight=options.weight,
        every=options.every,
        harm=_harm_in(options),
        seed=options.seed,
        progress=_progress(shell.clock),
    )
    again = options.aa is not None and options.aa > RUNS_AT_ONCE
    name = options.log if options.log == "-" else str(shell.cwd / options.log)
    log = Source(name, shown=options.log, standard_input=_standard_input(), again=again)
    try:
        with log as source:
            return _answer(replay, source, options)
    finally:
        _end_progress()


def _answer(replay: Replay, source: Source, options: Options) -> Json | str:
    """Return what was found, for machines or for people."""
    if options.aa is None:
        found = replay.once(source)
        if options.json:
            return replayed_json(replay, found)
        return replayed_text(replay, source.name, found)
    repeated = replay.many(source, options.aa)
    if options.json:
        return repeated_json(replay, repeated)
    return repeated_text(replay, source.name, repeated)


def _say(answer: Json | str) -> None:
    if isinstance(answer, str):
        print(answer)
    else:
        say_json(answer)


def _standard_input() -> Stream:
    """Return standard input; there is nothing in it where it is closed."""
    if sys.stdin is None:
        return io.BufferedReader(io.BytesIO())
    return cast("Stream", sys.stdin.buffer)


def _harm_in(options: Options) -> Harm | None:
    if options.inject is None:
        return None
    return options.inject._replace(cohort=options.cohort)


def _mistakes(plan: RolloutPlan, options: Options) -> Iterator[Mistake]:
    """Yield what is named in the arguments and cannot be made worse in this plan."""
    recorded = sorted(plan.recorded)
    if options.inject is None:
        if options.cohort:
            yield _mistake(
                "--cohort",
                "says where to make the candidate worse, and nothing says how",
                f"add --inject {recorded[0]}:+20%",
            )
        return
    metric, components = options.inject.metric, plan.metric(options.inject.metric)
    if components.components:
        yield _mistake(
            f"--inject {metric}",
            f"{metric!r} is not recorded, but made of others",
            f"name one of: {', '.join(components.components)}",
        )
    elif metric not in recorded:
        known = f"the plan has: {', '.join(recorded)}"
        yield _mistake(
            f"--inject {metric}",
            f"the plan has no metric {metric!r}",
            nearest(metric, recorded, otherwise=known),
        )
    if options.cohort and options.cohort not in plan.declared_cohorts:
        known = ", ".join(plan.declared_cohorts)
        has = f"the plan has: {known}" if known else "it declares no cohort"
        yield _mistake(
            f"--cohort {options.cohort}",
            f"the plan has no cohort {options.cohort!r}",
            nearest(options.cohort, plan.declared_cohorts, otherwise=has),
        )


def _mistake(key: str, problem: str, remedy: str) -> Mistake:
    return Mistake(
        file="flipback replay", table="", key=key, problem=problem, remedy=remedy
    )


def _progress(clock: Clock) -> Callable[[int], None]:
    """Return what tells a person at a terminal how far a long replay has come."""
    began = clock.monotonic()

    def tell(rows: int) -> None:
        if clock.monotonic() - began > _QUIET_S:
            print(f"\r{rows:,} rows", end="", file=sys.stderr, flush=True)

    return tell if is_terminal(sys.stderr) else _tell_nobody


def _tell_nobody(_: int) -> None:
    """Leave pipes and files alone."""


def _end_progress() -> None:
    if is_terminal(sys.stderr):
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _columns(text: str) -> Columns:
    found: dict[str, str] = {}
    for each in text.split(","):
        field, sign, column = each.partition("=")
        if not sign or not column:
            raise ArgumentTypeError(f"{each!r} is not FIELD=COLUMN, as t=timestamp")
        if not is_field(field.strip()):
            raise ArgumentTypeError(
                f"{field!r} is no field; known are id, t, subject, variant, weight, "
                "rule, epoch, of, cohort.NAME, metric.NAME and paired.VARIANT.NAME"
            )
        found[field.strip()] = column.strip()
    return found


def _harm(text: str) -> Harm:
    match = _HARM.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(
            f"{text!r} is no harm; write it as error:+20%, or as score:-0.02"
        )
    relative = bool(match["percent"])
    size = float(match["size"]) / (_PERCENT if relative else 1.0)
    if not size:
        raise ArgumentTypeError(f"{text!r} changes nothing; write it as error:+20%")
    if relative and size < -1:
        raise ArgumentTypeError(f"{text!r}: nothing falls by more than 100%")
    return Harm(match["metric"], size, relative)


def _percent(text: str) -> float:
    try:
        percent = number(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 < percent < _PERCENT:
        raise ArgumentTypeError(f"{text!r} is no share between 0 and 100 percent")
    return percent


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
