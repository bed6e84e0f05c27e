"""`flipback guard`: the guard as a process of its own, or one look for cron."""

import json
import logging
import sys
import time
from argparse import ArgumentParser
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TextIO

from typing_extensions import override

from flipback.app import Guard
from flipback.app._open import open_store
from flipback.cli._arguments import Command, Options
from flipback.cli._done import Done, done_json, done_text
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, plain, say, say_json
from flipback.cli._watch import bell
from flipback.control import Look
from flipback.latch import Latch
from flipback.ports import Clock
from flipback.rollout import RolloutRecord, phase_of


_LONG_S = 3600.0
_logger = logging.getLogger("flipback")


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="record verdicts in ledger and log; roll nothing back and move nothing",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="look once, move what is due and end, as for cron",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    with _log_to(sys.stderr, as_json=options.json):
        guard = Guard.from_config(
            shell.config(options.config), clock=shell.clock, dry_run=options.dry_run
        )
        if options.once:
            _look_once(guard, shell.clock, as_json=options.json)
        else:
            _stand_guard(guard)
    return ExitCode.OK


GUARD = Command(
    name="guard",
    help="look at the evidence, move rollouts and roll back, until SIGTERM ends it",
    declare=_declare,
    run=_run,
    logs=True,
)


def _stand_guard(guard: Guard) -> None:
    with bell() as ends:
        guard.start()
        try:
            _logger.info("%s", _on_duty(guard))
            while not ends.ended(_LONG_S):
                pass
        finally:
            guard.stop()
        _logger.info("the guard ends in good order")


def _on_duty(guard: Guard) -> str:
    settings = guard.settings
    routes = ", ".join(plan.route for plan in settings.plans) or "no route"
    how = "; DRY RUN: nothing is rolled back or moved" if settings.guard.dry_run else ""
    return f"guarding {routes} by {settings.path}{how}"


def _look_once(guard: Guard, clock: Clock, *, as_json: bool) -> None:
    try:
        looks = guard.step()
        told = _told(guard, looks, clock)
    finally:
        guard.stop()
    dry_run = guard.settings.guard.dry_run
    if as_json:
        answers = [done_json(each) for each in told]
        say_json({"exit": int(ExitCode.OK), "dry_run": dry_run, "looks": answers})
        return
    for each in told:
        say(f"{each.look.route}: {done_text(each)}")


def _told(guard: Guard, looks: Sequence[Look], clock: Clock) -> Sequence[Done]:
    """Return what came of each look, by where its rollout stands now."""
    store = open_store(guard.settings, clock)
    try:
        latches = store.latches()
        return [
            _came_of(look, store.rollout(look.route), latches.get(look.route), guard)
            for look in looks
        ]
    finally:
        store.close()


def _came_of(
    look: Look, after: RolloutRecord, latch: Latch | None, guard: Guard
) -> Done:
    return Done(
        look=look,
        after=after,
        phase=phase_of(after, latch or Latch(route=look.route)),
        dry_run=guard.settings.guard.dry_run,
    )


@contextmanager
def _log_to(stream: TextIO, *, as_json: bool) -> Generator[None]:
    """Let the library's log be the output of this process, a line each."""
    before, propagates = _logger.level, _logger.propagate
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLine() if as_json else _Line())
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)
        _logger.propagate = propagates


class _Line(logging.Formatter):
    """Spells a record on one line that a terminal shows and does not obey."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return f"{_at(record)} {record.levelname} {plain(record.getMessage())}"


class _JsonLine(logging.Formatter):
    """Spells a record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "at": _at(record),
                "level": record.levelname,
                "message": record.getMessage(),
            }
        )


def _at(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
