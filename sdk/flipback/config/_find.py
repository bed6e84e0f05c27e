"""Where the configuration is."""

from collections.abc import Mapping
from pathlib import Path

from flipback.errors import ConfigError, Mistake


CONFIG_NAME = "flipback.toml"
ENVIRONMENT_KEY = "FLIPBACK_CONFIG"
GIVEN = "the path given (--config)"


def find_config(explicit: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the configuration: the path given, the environment's, or the folder's.

    The first one that is given decides: a wrong path is a mistake, and never a
    reason to use another file. It is given by `--config` or by a call.

    Raises:
        ConfigError: There is none, or the one that was asked for does not exist.
    """
    named = environ.get(ENVIRONMENT_KEY, "")
    for source, text in ((GIVEN, explicit), (ENVIRONMENT_KEY, named)):
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
                problem=f"was not found: no path is given (--config), "
                f"{ENVIRONMENT_KEY} is not set, and there is none in {cwd}",
                remedy="give one of the three",
            )
        ]
    )


def _existing(path: Path, *, asked_by: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigError([_is_folder(path, asked_by=asked_by)])
    raise ConfigError(
        [
            Mistake(
                file=str(path),
                table="",
                key="the file",
                problem=f"does not exist, and {asked_by} asks for it",
                remedy="correct it there; a path that is given comes first, then "
                f"{ENVIRONMENT_KEY}, then {CONFIG_NAME} in the working directory",
            )
        ]
    )


def _is_folder(path: Path, *, asked_by: str) -> Mistake:
    return Mistake(
        file=str(path),
        table="",
        key="the file",
        problem=f"is a folder, and {asked_by} asks for a file",
        remedy=f"name the file in it, such as {path / CONFIG_NAME}",
    )
