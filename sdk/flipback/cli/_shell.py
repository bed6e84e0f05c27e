"""What a command has around it, and how it speaks."""

import getpass
import json
import os
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
    except (OSError, KeyError):  # 3.11 and 3.12 raise KeyError, later ones OSError
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def say_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def complain(error: Exception, *, as_json: bool) -> ExitCode:
    """Say on standard error what went wrong; return the exit code for it."""
    code = ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.UNAVAILABLE
    text = f"flipback: {error}".replace("\n", "\nflipback: ")
    print(text, file=sys.stderr)
    if as_json:
        say_json({"exit": int(code), "error": str(error)})
    return code
