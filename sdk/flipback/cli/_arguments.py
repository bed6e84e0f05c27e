"""The options of all commands, and the kinds of text that they take."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from flipback.assignment import Cohort
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell
from flipback.plan import PlanRejected, parse_duration
from flipback.power import Baseline
from flipback.replay import Columns, Harm


class Options(argparse.Namespace):
    """What a person asked for; a command reads the options that it declared."""

    command: str
    config: str | None
    json: bool
    offline: bool
    route: str
    routes: list[str]
    all: bool
    variant: str | None
    reason: str
    actor: str
    wait: float
    trip: int
    only: str | None
    verify: bool
    last: int | None
    output: str
    attempt: int | None
    older_than: float
    plan: str
    log: str
    columns: Columns | None
    weight: float | None
    every: int
    aa: int | None
    seed: int
    inject: Harm | None
    cohort: str
    accept: list[str]
    accept_plan: bool
    watch: bool
    period: float
    dry_run: bool
    once: bool
    times: int
    clean: bool
    within: float
    calls_per_day: float
    calls_per_subject: float
    baselines: list[tuple[str, Baseline]]
    shares: list[tuple[Cohort, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: how it is asked for, and what it does.

    Attributes:
        name: What it is called.
        help: What it does.
        declare: Declares its options.
        run: Does it.
        logs: It speaks through the log, as a service does.
    """

    name: str
    help: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Options, Shell], ExitCode]
    logs: bool = False


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `2s` or `500ms`."""
    try:
        return parse_duration(text).total_seconds()
    except PlanRejected as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def said(text: str) -> str:
    """Return text that says something: an empty reason helps nobody at night."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; say what others need to know")
    return text.strip()


def who_and_why(
    parser: argparse.ArgumentParser, *, who: str, why: str, must_say: bool = True
) -> None:
    """Declare the reason and the person that the ledger remembers.

    Args:
        parser: The command's.
        who: What the person does, as in "who kills".
        why: What the reason is for.
        must_say: The command does nothing without a reason.
    """
    parser.add_argument(
        "--reason", metavar="TEXT", type=said, required=must_say, help=why
    )
    by(parser, who)


def by(parser: argparse.ArgumentParser, who: str) -> None:
    """Declare the person that the ledger remembers."""
    parser.add_argument(
        "--actor",
        metavar="NAME",
        type=said,
        default=None,
        help=f"who {who}; default: user@host of this shell",
    )


def trip_number(text: str) -> int:
    """Return the number of a trip; trips count from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no trip; `flipback status` shows the number"
        )
    return int(text)
