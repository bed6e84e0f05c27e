"""Where the configuration is."""

from collections.abc import Mapping
from pathlib import Path

from flipback.errors import ConfigError, Mistake


CONFIG_NAME = "flipback.toml"
ENVIRONMENT_KEY = "FLIPBACK_CONFIG"


def find_config(explicit: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the configuration: `--config`, then the environment, then the folder.

    The first one that is given decides: a wrong `--config` is a mistake, and never
    a reason to use another file.

    Raises:
        ConfigError: There is none, or the one that was asked for does not exist.
    """
    named = environ.get(ENVIRONMENT_KEY, "")
    for source, text in (("--config", explicit), (ENVIRONMENT_KEY, named)):
        if text:
            return _existing(cwd / Path(text).expanduser(), asked_by=source)
    found = cwd / CONFIG_NAME
    if found.is_file():
        return found
    raise ConfigError(
        [
            Mistake(
                file=CONFIG_NAME,
                table="",
                key="the file",
                problem=f"was not found: --config is not given, {ENVIRONMENT_KEY} is "
                f"not set, and there is none in {cwd}",
                remedy="give one of the three",
            )
        ]
    )


def _existing(path: Path, *, asked_by: str) -> Path:
    if path.is_file():
        return path
    raise ConfigError(
        [
            Mistake(
                file=str(path),
                table="",
                key="the file",
                problem=f"does not exist, and {asked_by} asks for it",
                remedy=f"correct {asked_by}; --config comes first, then "
                f"{ENVIRONMENT_KEY}, then {CONFIG_NAME} in the working directory",
            )
        ]
    )
