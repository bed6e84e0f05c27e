"""Read `flipback.toml` and its plans, and name all mistakes at once."""

import glob
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from flipback.config._mistakes import mistakes_in, without_echoes
from flipback.config._settings import ConfigFile, Settings, settle
from flipback.errors import ConfigError, Mistake
from flipback.plan import RolloutPlan, Written


Model = TypeVar("Model", bound=Written)
Table = Mapping[str, object]
GATED = {"gated": True}
_PLACES = frozenset({"store", "ledger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A plan file that was read; the plan is None where it has mistakes."""

    file: str
    route: object
    plan: RolloutPlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What could be read, and everything that is wrong.

    Attributes:
        settings: What is usable: plans with mistakes are left out.
        files: The names of the usable plans' files, in the plans' order.
        unplanned: Routes whose plans have mistakes: they can be killed, but their
            flag is not known.
        nameless: Plan files of which not even the route can be read.
        mistakes: Everything wrong in all files.
    """

    settings: Settings
    files: tuple[str, ...]
    unplanned: tuple[str, ...]
    nameless: tuple[str, ...]
    mistakes: tuple[Mistake, ...]


def load_settings(path: Path) -> Settings:
    """Return the settings in a file, with all plans that it names.

    Raises:
        ConfigError: Anything is wrong in any file; it carries every mistake.
    """
    reading = read_settings(path)
    if reading.mistakes:
        raise ConfigError(reading.mistakes)
    return reading.settings


def read_settings(path: Path) -> Reading:
    """Read all that can be read, for acts that must work with a broken plan.

    A key of `flipback.toml` that is wrong has its default, a plan that is wrong is
    left out. Not for serving: a router takes `load_settings`.

    Raises:
        ConfigError: The file itself cannot be read, or is not TOML, or names no
            usable store or ledger.
    """
    path = path.absolute()
    mistakes: list[Mistake] = []
    written = _config_file(path, mistakes)
    read = list(_plan_files(path, written.plans, mistakes))
    mistakes.extend(_planned_twice(read))
    usable = [(found.file, found.plan) for found in read if found.plan is not None]
    return Reading(
        settings=settle(written, path, tuple(plan for _, plan in usable)),
        files=tuple(file for file, _ in usable),
        unplanned=tuple(
            found.route
            for found in read
            if found.plan is None and isinstance(found.route, str)
        ),
        nameless=tuple(
            found.file for found in read if not isinstance(found.route, str)
        ),
        mistakes=tuple(mistakes),
    )


def read_plan(path: Path) -> RolloutPlan:
    """Return the plan in a file on its own, without any `flipback.toml`.

    Raises:
        ConfigError: It cannot be read or used; it carries every mistake.
    """
    mistakes: list[Mistake] = []
    plan = _plan_file(path.absolute(), mistakes).plan
    if plan is None:
        raise ConfigError(mistakes)
    return plan


def shown(path: Path) -> str:
    """Return a path as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _config_file(path: Path, mistakes: list[Mistake]) -> ConfigFile:
    table = _toml(path, mistakes)
    written = None if table is None else _parsed(table, ConfigFile, path, mistakes)
    if written is not None:
        return written
    usable = _without_wrong_tables(table or {}, mistakes)
    if table is None or any(found.key in _PLACES for found in mistakes):
        raise ConfigError(mistakes)
    return ConfigFile.model_validate(usable)


def _without_wrong_tables(table: Table, mistakes: Sequence[Mistake]) -> Table:
    wrong = {(found.table or found.key).partition(".")[0] for found in mistakes}
    wrong = {name.partition("[")[0] for name in wrong}
    return {key: value for key, value in table.items() if key not in wrong}


def _plan_files(
    path: Path, patterns: Sequence[str], mistakes: list[Mistake]
) -> Iterator[PlanFile]:
    found = {pattern: _matches(path.parent, pattern) for pattern in patterns}
    mistakes.extend(_no_match(path, pattern) for pattern in found if not found[pattern])
    for plan_path in dict.fromkeys(chain.from_iterable(found.values())):
        yield _plan_file(plan_path, mistakes)


def _matches(base: Path, pattern: str) -> Sequence[Path]:
    names = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    return [base / name for name in sorted(names)]


def _plan_file(path: Path, mistakes: list[Mistake]) -> PlanFile:
    table = _toml(path, mistakes)
    plan = None if table is None else _parsed(table, RolloutPlan, path, mistakes)
    return PlanFile(file=shown(path), route=(table or {}).get("route"), plan=plan)


def _no_match(path: Path, pattern: str) -> Mistake:
    return Mistake(
        file=shown(path),
        table="",
        key="plans",
        problem=f"{pattern!r} matches no file in {path.parent}",
        remedy="write a plan there, or correct the pattern",
    )


def _planned_twice(read: Sequence[PlanFile]) -> Iterator[Mistake]:
    first: dict[str, str] = {}
    for found in read:
        route = found.route
        other = first.setdefault(route, found.file) if isinstance(route, str) else None
        if other not in (None, found.file):
            yield Mistake(
                file=found.file,
                table="",
                key="route",
                problem=f"{route!r} is planned in {other} too",
                remedy="a route has one plan: remove one of the two",
            )


def _parsed(
    table: Table, model: type[Model], path: Path, mistakes: list[Mistake]
) -> Model | None:
    """Return the model, or None and every mistake, each once.

    Rules about several keys are only tried where all keys are known, so a second
    try that ignores the unknown ones finds the rest.
    """
    try:
        return model.model_validate(table, context=GATED)
    except ValidationError as error:
        found = list(mistakes_in(error, file=shown(path), model=model))
    try:
        model.model_validate(table, context=GATED, extra="ignore")
    except ValidationError as error:
        more = mistakes_in(error, file=shown(path), model=model)
        found.extend(mistake for mistake in more if mistake not in found)
    mistakes.extend(without_echoes(found))
    return None


def _toml(path: Path, mistakes: list[Mistake]) -> Table | None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        mistakes.append(_unreadable(path, f"is not UTF-8 text (byte {error.start})"))
        return None
    except OSError as error:
        why = f"cannot be read ({error.strerror or error})"
        mistakes.append(_unreadable(path, why))
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        mistakes.append(_syntax(path, text, str(error)))
        return None


def _syntax(path: Path, text: str, message: str) -> Mistake:
    what, _, place = message.removesuffix(")").rpartition(" (at ")
    if not re.fullmatch(r"line \d+, column \d+", place):
        lines = text.split("\n")
        place = f"line {len(lines)}, column {len(lines[-1]) + 1}"
    return Mistake(
        file=shown(path),
        table="",
        key=place,
        problem=f"is not TOML: {what or message}",
        remedy="correct it there; text needs quotes, a table its [name]",
    )


def _unreadable(path: Path, problem: str) -> Mistake:
    return Mistake(
        file=shown(path),
        table="",
        key="the file",
        problem=problem,
        remedy="correct the path or the file's permissions and encoding",
    )
