"""A plan that a command is given by its path."""

from dataclasses import asdict
from pathlib import Path

from flipback.cli._exit import ExitCode
from flipback.cli._shell import say_json, warn
from flipback.config import read_plan
from flipback.errors import ConfigError
from flipback.plan import RolloutPlan


def plan_in(path: str, *, as_json: bool) -> RolloutPlan | ExitCode:
    """Return the plan, or say every mistake in it and return the exit code."""
    try:
        return read_plan(Path(path))
    except ConfigError as error:
        for mistake in error.mistakes:
            warn(str(mistake))
        if as_json:
            mistakes = list(map(asdict, error.mistakes))
            say_json({"exit": int(ExitCode.MISTAKES), "mistakes": mistakes})
        return ExitCode.MISTAKES
