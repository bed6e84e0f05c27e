"""`flipback status`: what is offered, what is served, who obeys, what is known."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace

from flipback.app import Operator, RouteStatus
from flipback.cli._arguments import Command, Options, seconds
from flipback.cli._drills import drill_left_over
from flipback.cli._exit import ExitCode
from flipback.cli._routes import forced_for_nothing
from flipback.cli._shell import Shell, plain, say_json, warn
from flipback.cli._status_json import status_json
from flipback.cli._status_text import status_text
from flipback.cli._watch import Page, watch
from flipback.config import GuardSettings, read_settings
from flipback.errors import FlipbackError, Mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look found.

    Attributes:
        routes: Every route that a plan is about.
        mistakes: What is wrong in files and arguments.
        guard: Who moves rollouts.
    """

    routes: Sequence[RouteStatus]
    mistakes: Sequence[Mistake]
    guard: GuardSettings

    @property
    def code(self) -> ExitCode:
        """Return the exit code: what cannot be read, then what is wrong."""
        if any(route.problems for route in self.routes):
            return ExitCode.UNAVAILABLE
        return ExitCode.MISTAKES if self.mistakes else ExitCode.OK

    def text(self, *, whole: bool = True) -> str:
        """Return all routes for people; see `status_text`."""
        texts = [status_text(route, self.guard, whole=whole) for route in self.routes]
        return "\n\n".join(texts) or "no plan can be used"

    def json(self) -> Mapping[str, object]:
        """Return all routes for machines."""
        return {
            "routes": [status_json(route, self.guard) for route in self.routes],
            "mistakes": list(map(asdict, self.mistakes)),
        }

    def timeless(self) -> "Seen":
        """Return the same without what changes by itself as time goes by."""
        return replace(self, routes=list(map(_timeless, self.routes)))


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        action="store_true",
        help="look again and again; without a terminal, print what has changed",
    )
    parser.add_argument(
        "--every",
        metavar="TIME",
        dest="period",
        type=seconds,
        default="1s",
        help="how often --watch looks; default: 1s",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    seen = _look(options, shell)
    if options.watch:
        in_place = not options.json
        watch(lambda: _page(options, shell), every_s=options.period, in_place=in_place)
        return ExitCode.OK
    for mistake in seen.mistakes:
        warn(str(mistake))
    if options.json:
        say_json(seen.json())
    else:
        print(seen.text())
    return seen.code


STATUS = Command(
    name="status",
    help="show what each route is offered and serves, who obeys, and the evidence",
    declare=_declare,
    run=_run,
)


def _look(options: Options, shell: Shell) -> Seen:
    reading = read_settings(shell.config(options.config))
    mistakes = [
        *reading.mistakes,
        *forced_for_nothing(reading, shell),
        *drill_left_over(reading.settings, shell),
    ]
    with closing(Operator.open(reading.settings, clock=shell.clock)) as operator:
        routes = operator.status()
    return Seen(routes=routes, mistakes=mistakes, guard=reading.settings.guard)


def _page(options: Options, shell: Shell) -> Page:
    """Return the page of one look; one that fails is no reason to stop watching."""
    now = shell.clock.now()
    try:
        seen = _look(options, shell)
    except (FlipbackError, OSError) as error:
        return _blind(str(error), f"{now:%Y-%m-%d %H:%M:%S} UTC", options)
    if options.json:
        line = {"at": now.isoformat(), **seen.json()}
        return Page(text=json.dumps(line), essence=seen.timeless().json())
    mistakes = "".join(f"flipback: {plain(str(m))}\n" for m in seen.mistakes)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC\n{mistakes}\n{seen.text(whole=False)}\n"
    return Page(text=text, essence=(mistakes, seen.timeless().text()))


def _blind(error: str, now: str, options: Options) -> Page:
    if options.json:
        return Page(text=json.dumps({"at": now, "error": error}), essence=error)
    return Page(text=f"{now}\n\nflipback: {plain(error)}", essence=error)


def _timeless(route: RouteStatus) -> RouteStatus:
    """Return a status without durations, which gates tell too, and heartbeats."""
    gate = route.gate
    if gate is not None:
        gate = replace(gate, waits=tuple("" for _ in gate.waits))
    return replace(route, gate=gate, stage_lasts=None)
