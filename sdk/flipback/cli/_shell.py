"""What a command has around it, and how it speaks."""

import getpass
import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flipback.cli._exit import ExitCode
from flipback.config import find_config
from flipback.control import SystemClock
from flipback.errors import ConfigError
from flipback.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """The surroundings of a command."""

    environ: Mapping[str, str]
    cwd: Path
    clock: Clock

    @classmethod
    def of_this_process(cls) -> "Shell":
        """Return the real surroundings."""
        return cls(environ=os.environ, cwd=Path.cwd(), clock=SystemClock())

    def config(self, explicit: str | None) -> Path:
        """Return the configuration that is in force.

        Raises:
            ConfigError: There is none.
        """
        return find_config(explicit, self.environ, self.cwd)


def whoami() -> str:
    """Return `user@host`, also where the user id has no name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # which of them depends on the version of Python
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def say_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def warn(text: str) -> None:
    """Say something on standard error, each line marked as ours."""
    for line in text.splitlines():
        print(f"flipback: {line}", file=sys.stderr)


def complain(error: Exception, *, as_json: bool) -> ExitCode:
    """Say on standard error what went wrong; return the exit code for it."""
    code = ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.UNAVAILABLE
    warn(str(error))
    if as_json:
        say_json({"exit": int(code), "error": str(error)})
    return code


def release_command(route: str, trip: int) -> str:
    """Return the command that releases exactly this trip."""
    return f"flipback release {shlex.quote(route)} --trip {trip} --reason '...'"
