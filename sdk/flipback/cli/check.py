"""`flipback check`: name every mistake in configuration, plans and their flags."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from flipback.app._open import open_flags
from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._shell import Shell, say_json
from flipback.config import (
    Note,
    Reading,
    check_flag,
    flag_variant,
    notes_on,
    read_settings,
)
from flipback.errors import ConfigError, FlagProblem, FlagWriteError, Mistake
from flipback.plan import RolloutPlan
from flipback.ports import FlagRef, FlagWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found."""

    plans: Sequence[tuple[RolloutPlan, str]]
    mistakes: Sequence[Mistake]
    notes: Sequence[str | Note]


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--offline", action="store_true", help="do not ask the flag service"
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    checked = _check(options, shell)
    if options.json:
        say_json(_as_json(checked))
    else:
        _print(checked)
    return ExitCode.MISTAKES if checked.mistakes else ExitCode.OK


CHECK = Command(
    name="check",
    help="name every mistake in configuration, plans and flags; changes nothing",
    declare=_declare,
    run=_run,
)


def _check(options: Options, shell: Shell) -> Checked:
    path = shell.config(options.config)
    try:
        reading = read_settings(path)
    except ConfigError as error:
        return Checked(plans=(), mistakes=error.mistakes, notes=())
    plans = list(zip(reading.settings.plans, reading.files, strict=True))
    mistakes, notes = list(reading.mistakes), list[str | Note]()
    for plan, file in plans:
        notes.extend(notes_on(plan, file))
    if options.offline:
        notes.append("the flag service was not asked")
    elif plans:
        _ask_flags(reading, plans, mistakes, notes)
    return Checked(plans=plans, mistakes=mistakes, notes=notes)


def _ask_flags(
    reading: Reading,
    plans: Sequence[tuple[RolloutPlan, str]],
    mistakes: list[Mistake],
    notes: list[str | Note],
) -> None:
    try:
        service = open_flags(reading.settings)
    except ConfigError as error:
        mistakes.extend(error.mistakes)
        return
    if service.writer is None:
        notes.append("this flag service cannot be written: a kill stays local")
        return
    for plan, file in plans:
        mistakes.extend(_flag_mistakes(plan, file, service.writer))


def _flag_mistakes(
    plan: RolloutPlan, file: str, writer: FlagWriter
) -> Iterator[Mistake]:
    ref = FlagRef(key=plan.flag)
    try:
        state = writer.read(ref)
        control = flag_variant(plan, state, plan.control)
        issues = writer.preflight(ref, control=control) if control is not None else ()
        yield from check_flag(plan, file, state, issues)
    except FlagWriteError as error:
        if error.kind is FlagProblem.NOT_FOUND:
            yield from check_flag(plan, file, None, ())
        else:
            yield _unreadable(file, error)


def _unreadable(file: str, error: FlagWriteError) -> Mistake:
    return Mistake(
        file=file,
        table="",
        key="flag",
        problem=f"cannot be read from the flag service: {error}",
        remedy="correct `flags` in the configuration, or try again later; "
        "--offline checks the files alone",
    )


def _as_json(checked: Checked) -> object:
    return {
        "ok": not checked.mistakes,
        "plans": [
            {"file": file, "route": plan.route, "flag": plan.flag}
            for plan, file in checked.plans
        ],
        "mistakes": list(map(asdict, checked.mistakes)),
        "notes": list(map(str, checked.notes)),
    }


def _print(checked: Checked) -> None:
    for mistake in checked.mistakes:
        print(mistake)
    for plan, file in checked.plans:
        print(
            f"{file}: route {plan.route}: flag {plan.flag}, {plan.candidate} against "
            f"{plan.control}, {_count(plan.guardrails, 'guardrail')}, "
            f"{_count(plan.declared_cohorts, 'cohort')}"
        )
    for note in checked.notes:
        print(f"note: {note}")
    if checked.mistakes:
        files = {mistake.file for mistake in checked.mistakes}
        where = _count(sorted(files), "file")
        print(f"{_count(checked.mistakes, 'mistake')} in {where}")
    else:
        print(f"no mistakes in {_count(checked.plans, 'plan')}")


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
