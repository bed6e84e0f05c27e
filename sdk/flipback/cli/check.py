"""`flipback check`: name every mistake in configuration, plans and their flags."""

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flipback.app._open import open_flags
from flipback.cli._arguments import Command, Options
from flipback.cli._cautions import cautions, flipped_whole
from flipback.cli._drills import drill_mistakes
from flipback.cli._exit import ExitCode
from flipback.cli._places import History, kind_of_store, open_places
from flipback.cli._rollout_text import REASON, command
from flipback.cli._routes import forced_for_nothing, forced_notes
from flipback.cli._shell import Shell, say, say_json
from flipback.config import (
    Reading,
    check_flag,
    flag_ref,
    flag_variant,
    read_settings,
    unset_variables,
    variant_named_by,
)
from flipback.errors import ConfigError, FlagProblem, FlagWriteError, Mistake
from flipback.latch import Latch
from flipback.plan import RolloutPlan
from flipback.ports import FlagState, FlagWriter, PreflightIssue


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flag:
    state: FlagState
    issues: Sequence[PreflightIssue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found."""

    plans: Sequence[tuple[RolloutPlan, str]]
    mistakes: Sequence[Mistake]
    notes: Sequence[str]


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--offline",
        action="store_true",
        help="check the files alone: no flag service, no store, no ledger",
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
    mistakes = [*reading.mistakes, *forced_for_nothing(reading, shell)]
    notes = [*cautions(reading), *forced_notes(reading, shell)]
    unset = unset_variables(reading.settings, shell.environ)
    if options.offline:
        notes.extend(map(str, unset))
        mistakes.extend(kind_of_store(reading.settings, shell.clock))
        notes.append("the flag service was not asked, nor store and ledger opened")
    else:
        mistakes.extend(unset)
        history = open_places(reading.settings, shell.clock, mistakes)
        _ask_flags(reading, history, mistakes, notes)
        mistakes.extend(drill_mistakes(reading.settings, shell))
    return Checked(plans=plans, mistakes=mistakes, notes=notes)


def _ask_flags(
    reading: Reading,
    history: History,
    mistakes: list[Mistake],
    notes: list[str],
) -> None:
    plans = list(zip(reading.settings.plans, reading.files, strict=True))
    try:
        service = open_flags(reading.settings)
    except ConfigError as error:
        mistakes.extend(error.mistakes)
        return
    if service.writer is None:
        notes.append("this flag service cannot be written: a kill stays local")
        return
    if not service.writer.capabilities.cohorts:
        for plan, file in plans:
            notes.extend(flipped_whole(plan, file))
    for plan, file in plans:
        killed = history.killed(plan.route)
        flag = _read(plan, file, service.writer, mistakes)
        if flag is None:
            continue
        issues = flag.issues
        if killed is not None and _as_a_kill_leaves_it(plan, flag.state):
            issues = [issue for issue in issues if not issue.in_split]
            notes.append(_killed_note(plan, file, killed))
        mistakes.extend(check_flag(plan, file, flag.state, issues))


def _read(
    plan: RolloutPlan, file: str, writer: FlagWriter, mistakes: list[Mistake]
) -> _Flag | None:
    """Return the flag, or None and a mistake."""
    ref = flag_ref(plan)
    try:
        state = writer.read(ref)
        control = flag_variant(plan, state, plan.control)
        issues = writer.preflight(ref, control=control) if control is not None else ()
    except FlagWriteError as error:
        if error.kind is FlagProblem.NOT_FOUND:
            mistakes.extend(check_flag(plan, file, None, ()))
        else:
            mistakes.append(_unreadable(file, error))
        return None
    return _Flag(state=state, issues=issues)


def _as_a_kill_leaves_it(plan: RolloutPlan, flag: FlagState) -> bool:
    serves = flag.variants.get(flag.default_variant or "")
    return not flag.split and variant_named_by(plan, serves) == plan.control


def _killed_note(plan: RolloutPlan, file: str, latch: Latch) -> str:
    when = "after the release" if latch.held else "to go on"
    return (
        f"{file}: flag {plan.flag} has no split since the kill of trip {latch.trip}; "
        f"{when}, {command('restore', plan, REASON)} puts it back"
    )


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
        "notes": list(checked.notes),
    }


def _print(checked: Checked) -> None:
    for mistake in checked.mistakes:
        say(str(mistake))
    for plan, file in checked.plans:
        say(
            f"{file}: route {plan.route}: flag {plan.flag}, {plan.candidate} against "
            f"{plan.control}, {_count(plan.guardrails, 'guardrail')}, "
            f"{_count(plan.declared_cohorts, 'cohort')}"
        )
    for note in checked.notes:
        say(f"note: {note}")
    if checked.mistakes:
        files = {mistake.file for mistake in checked.mistakes}
        where = _count(sorted(files), "file")
        say(f"{_count(checked.mistakes, 'mistake')} in {where}")
    else:
        say(f"no mistakes in {_count(checked.plans, 'plan')}")


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
