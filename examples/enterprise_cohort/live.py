"""Show a rollout while it runs: a page for terminals, lines for everything else."""

from collections.abc import Sequence
from math import log
from time import perf_counter
from typing import Protocol, Self

from replay import Replay
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flipback import Finding, Look


REFRESH_S = 0.2
LINE_EVERY = 40
BAR = 18
WIDTH = 98


class View(Protocol):
    """Something that shows looks while it is open."""

    def __enter__(self) -> Self:
        """Open it."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it; what was shown last stays."""
        ...

    def show(self, look: Look, *, last: bool = False) -> None:
        """Show a look; leave it out if the one before is fresh, unless it is last."""
        ...


class PlainView:
    """A line now and then."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._looks = 0

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def show(self, look: Look, *, last: bool = False) -> None:
        """Print every 40th look and the last one."""
        self._looks += 1
        if last or self._looks % LINE_EVERY == 0:
            print(_line(look, self._replay), flush=True)


class LiveView:
    """A page that is redrawn five times a second at most."""

    def __init__(self, replay: Replay, *, most_calls: int) -> None:
        self._replay = replay
        self._most_calls = most_calls
        self._live = Live(console=Console(highlight=False), auto_refresh=False)
        self._started = self._drawn = perf_counter()

    def __enter__(self) -> Self:
        """Open it."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; what was shown last stays."""
        self._live.stop()

    def show(self, look: Look, *, last: bool = False) -> None:
        """Redraw, unless that was done a moment ago."""
        if last or perf_counter() - self._drawn > REFRESH_S:
            self._live.update(self._page(look), refresh=True)
            self._drawn = perf_counter()

    def _page(self, look: Look) -> Group:
        return Group(
            self._progress(),
            Text(),
            _cohorts(look),
            _together(look),
            Text(),
            self._also_shown(look),
            Text(),
        )

    def _progress(self) -> Table:
        done = self._replay.tally.calls.total()
        spent = perf_counter() - self._started
        row = Table.grid(padding=(0, 2))
        row.add_row(
            ProgressBar(total=self._most_calls, completed=done, width=46),
            f"{done:,} of {self._most_calls:,} calls",
            Text(f"{spent:.0f} s, {done / (spent or 1):,.0f} calls/s", style="dim"),
        )
        return row

    def _also_shown(self, look: Look) -> Table:
        tally, candidate = self._replay.tally, self._replay.candidate.name
        served = f"{tally.calls[candidate]:,}, {tally.enterprise[candidate]:,} of them "
        errors = [each for each in look.analysis.findings if each.metric == "error"]
        latency = ", ".join(
            f"{name} {tally.latency_ms(name):.2f} ms" for name in sorted(tally.calls)
        )
        facts = Table.grid(padding=(0, 2))
        facts.add_row("served by the candidate", served + "for enterprise people")
        facts.add_row("calls that raised", ", ".join(map(_change, errors)))
        facts.add_row("mean predict(), not guarded", latency)
        return facts


def missed_by_cohort(look: Look) -> Sequence[Finding]:
    """Return the findings on `missed`: everybody first, then each cohort."""
    return [each for each in look.analysis.findings if each.metric == "missed"]


def cohort_of(finding: Finding) -> str:
    """Return the cohort, or a word for all of them."""
    return finding.cohort or "everybody"


def percent(share: float | None) -> str:
    """Return a share of people, or a dash where nobody was seen."""
    return "-" if share is None else f"{share:.1%}"


def _cohorts(look: Look) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="Share of high-income people whom the model misses (1 - recall)",
        title_justify="left",
        title_style="bold",
        width=WIDTH,
    )
    table.add_column("cohort")
    for heading in ("people", "control", "candidate", "change"):
        table.add_column(heading, justify="right")
    table.add_column("evidence of harm, log E", no_wrap=True)
    for finding in missed_by_cohort(look):
        alone = look.analysis.log_threshold - log(finding.weight)
        table.add_row(
            cohort_of(finding),
            f"{finding.control_n + finding.candidate_n:,}",
            percent(finding.control_value),
            percent(finding.candidate_value),
            _signed(finding),
            _bar(finding.log_e, alone),
        )
    return table


def _together(look: Look) -> Table:
    """Return the line that decides: all evidence against the threshold."""
    analysis = look.analysis
    row = Table.grid(padding=(0, 2))
    row.add_row(
        Text("All evidence together, log G", style="bold"),
        _bar(analysis.log_g, analysis.log_threshold),
        Text(f"({analysis.log_threshold:.2f} flips the flag back)", style="dim"),
    )
    return row


def _bar(value: float, needed: float) -> Text:
    """Return how far evidence has come; below 0 it speaks for the candidate."""
    filled = round(BAR * min(1.0, max(0.0, value / needed)))
    style = "bold red" if value >= needed else "yellow"
    bar = Text("█" * filled, style=style)
    bar.append("·" * (BAR - filled), style="dim")
    return bar.append(f" {value:6.2f}", style=style if filled else "")


def _signed(finding: Finding) -> Text:
    change = finding.relative_effect
    if change is None:
        return Text("-")
    return Text(f"{change:+.1%}", style="red" if change > 0 else "green")


def _change(finding: Finding) -> str:
    control, candidate = (
        percent(finding.control_value),
        percent(finding.candidate_value),
    )
    return f"control {control}, candidate {candidate}"


def _line(look: Look, replay: Replay) -> str:
    calls = replay.tally.calls
    served = calls[replay.candidate.name]
    missed = ", ".join(
        f"{cohort_of(each).removeprefix('employer_size=')} {each.log_e:.2f}"
        for each in missed_by_cohort(look)
    )
    return (
        f"{calls.total():7,} calls, {served:6,} by the candidate, "
        f"log G {look.analysis.log_g:5.2f} of {look.analysis.log_threshold:.2f} "
        f"(log E of missed: {missed})"
    )
