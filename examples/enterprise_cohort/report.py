"""Say in the end what happened, after having checked it from outside."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from live import WIDTH, cohort_of, missed_by_cohort, percent
from models import Person
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.no_op_provider import NoOpProvider
from replay import Replay
from rich.console import Console
from rich.table import Table

from flipback import Finding, Look
from flipback_providers.flagfile import FlagFileProvider


FLAG = "income-model"
TESTER = EvaluationContext("tester-1", {"team": "income-model"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished replay, its last look, and the folder with its files."""

    replay: Replay
    look: Look
    folder: Path

    @property
    def flags(self) -> Path:
        """Return the flag file."""
        return self.folder / "flags.flagd.json"

    @property
    def candidate_calls(self) -> int:
        """Return how many calls the candidate has served."""
        return self.replay.tally.calls[self.replay.candidate.name]


def offered(flags: Path, people: Iterable[Person]) -> Counter[str]:
    """Count what the flag file offers to people and the pinned tester.

    Asked is a plain OpenFeature client, as any other application would have it.
    """
    api.set_provider_and_wait(FlagFileProvider(flags), "outside")
    ask = api.get_client("outside").get_string_value
    users = [TESTER, *(EvaluationContext(person.subject) for person in people)]
    answers = Counter(ask(FLAG, "no answer", user) for user in users)
    api.set_provider(NoOpProvider(), "outside")
    return answers


def culprit(look: Look) -> Finding:
    """Return what the roll back is blamed on; if nothing failed, the worst."""
    if look.analysis.broken:
        return look.analysis.broken[0]
    if look.analysis.suspect is None:
        raise ValueError("the plan has no guardrail that rolls back")
    return look.analysis.suspect


def tell_flip(run: Run, *, asked: Sequence[Person], more: Sequence[Person]) -> None:
    """Tell what flipped and why, whom it had hurt, and that it holds everywhere."""
    tally, candidate = run.replay.tally, run.replay.candidate
    harmed = tally.enterprise[candidate.name]
    told = _told()
    told.add_row(
        "what",
        f"{FLAG} went back to {run.replay.control.name} at call "
        f"{tally.calls.total():,}, the candidate's {run.candidate_calls:,}th",
    )
    told.add_row("overall", _overall(run.look))
    told.add_row("why", _why(culprit(run.look)))
    told.add_row("harm", f"{harmed:,} enterprise people had been served by it by then")
    told.add_row("now", _outside(run, asked))
    told.add_row("", _inside(run, more))
    _tell_files(told, run)
    _say(told)


def tell_hold(run: Run, *, asked: Sequence[Person]) -> None:
    """Tell that nothing was proven, and what the flag still offers."""
    told = _told()
    told.add_row("what", f"nothing flipped in {run.replay.tally.calls.total():,} calls")
    told.add_row("overall", _overall(run.look))
    for finding in missed_by_cohort(run.look)[1:]:
        told.add_row("cohort", f"{cohort_of(finding)}: {_recall(finding)}")
    offers = offered(run.flags, asked).most_common()
    spelled = ", ".join(f"{name} to {times:,}" for name, times in offers)
    told.add_row("now", f"the flag file offers {spelled} subjects")
    _tell_files(told, run)
    _say(told)


def last_line(run: Run) -> str:
    """Return the verdict in one line, for people and scripts."""
    analysis, candidate = run.look.analysis, run.replay.candidate
    if run.look.kill is None:
        return (
            f"held: {FLAG} keeps {candidate.name} at 25 % after "
            f"{run.candidate_calls} candidate calls, "
            f"log G = {analysis.log_g:.2f} < {analysis.log_threshold:.2f}"
        )
    found = culprit(run.look)
    return (
        f"flipped back: {FLAG} -> {run.replay.control.name} after "
        f"{run.candidate_calls} candidate calls "
        f"(cohort {cohort_of(found)}, metric {found.metric})"
    )


def _why(found: Finding) -> str:
    text = (
        f"{found.metric} for {cohort_of(found)}: "
        f"control {percent(found.control_value)} of {found.control_n:,}, "
        f"candidate {percent(found.candidate_value)} of {found.candidate_n:,}"
    )
    if found.relative_effect is not None:
        text += f", {found.relative_effect:+.1%}"
    if found.interval is not None:
        low, high = 100 * found.interval.low, 100 * found.interval.high
        text += (
            f"; difference {low:+.1f} to {high:+.1f} points "
            "(a 95 % interval, valid at every look)"
        )
    return text


def _overall(look: Look) -> str:
    everybody = missed_by_cohort(look)[0]
    favours = (everybody.relative_effect or 0) < 0
    still = "still " if look.kill else ""
    word = f"{still}favours" if favours else "does not favour"
    return f"the aggregate {word} the candidate: {_recall(everybody)}"


def _recall(finding: Finding) -> str:
    if finding.control_value is None or finding.candidate_value is None:
        return "no recall yet"
    control, candidate = 1 - finding.control_value, 1 - finding.candidate_value
    return f"recall {percent(candidate)} against {percent(control)}"


def _outside(run: Run, asked: Sequence[Person]) -> str:
    """Check that the flag itself serves control to everybody; say what was found."""
    control = run.replay.control.name
    served, everybody = offered(run.flags, asked)[control], len(asked) + 1
    if served < everybody:
        raise RuntimeError(f"{control} does not serve everybody; see {run.flags}")
    return f"flag: {control} for {served:,} of {everybody:,} subjects, a tester too"


def _inside(run: Run, more: Sequence[Person]) -> str:
    """Check that routed calls are served by control; say what was found."""
    control = run.replay.control.name
    served = Counter(run.replay.serve(person).by for person in more)[control]
    if served < len(more):
        raise RuntimeError(f"the candidate served {len(more) - served} more calls")
    return f"route: {control} served {served:,} of {len(more):,} more calls"


def _told() -> Table:
    told = Table.grid(padding=(0, 2))
    told.add_column(style="bold", min_width=8)
    told.add_column(overflow="fold")
    return told


def _tell_files(told: Table, run: Run) -> None:
    trace = run.folder / "trace.jsonl"
    spans = trace.read_text().count("\n")
    told.add_row("trace", f"{trace} ({spans:,} spans, 1 % of calls), events.jsonl")
    ledger = run.folder / "flipback.ledger.jsonl"
    if ledger.exists():
        told.add_row("ledger", str(ledger))
    flipback = os.path.relpath(Path(sys.executable).with_name("flipback"))
    config = run.folder / "flipback.toml"
    told.add_row("more", f"{flipback} status --config {config}")


def _say(told: Table) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(told)
        return
    # A table pads its lines, which nobody wants in a log.
    console = Console(highlight=False, width=WIDTH, file=StringIO())
    with console.capture() as captured:
        console.print(told)
    for line in captured.get().splitlines():
        print(line.rstrip())
