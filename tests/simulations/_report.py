"""Tables of results, and where they are written."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulations._bounds import reached_by, upper_bound
from tests.simulations._race import OURS, Ending


DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md"
PLOTS = DOCUMENT.parent / "plots"
PEERS = (
    "z",
    "z, Bonferroni",
    "GrowthBook",
    "mSPRT",
    "Flagger",
    "Argo",
    "Kayenta",
)
NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to simulate.

    Attributes:
        runs: Runs of a design that takes seconds; shorter ones get more.
        jobs: Processes that share the work.
    """

    runs: int = 250
    jobs: int = 2

    def times(self, factor: float) -> int:
        """Return a number of runs in proportion, at least 1."""
        return max(1, round(self.runs * factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a simulation found.

    Attributes:
        text: Markdown.
        plots: How to draw each plot as SVG, by its name.
    """

    text: str
    plots: Mapping[str, Callable[[], bytes]] = field(
        default_factory=dict[str, Callable[[], bytes]]
    )


Simulation = Callable[[Options], Report]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(part: int, whole: int, *, digits: int = 1) -> str:
    """Return a share in percent, nothing where there is no whole."""
    return f"{part / whole:.{digits}%}".replace("%", " %") if whole else NOTHING


def rate(hits: int, runs: int, *, digits: int = 1) -> str:
    """Return a measured rate with its exact upper bound."""
    bound = f"{upper_bound(hits, runs):.{digits}%}".replace("%", " %")
    return f"{percent(hits, runs, digits=digits)} (at most {bound})"


def verdict(*, met: bool) -> str:
    """Return how a table says whether a target is met."""
    return "met" if met else "**missed**"


def verdict_of_rate(hits: int, runs: int, target: float) -> str:
    """Return whether a rate is met, by its exact bound or only as measured."""
    if upper_bound(hits, runs) <= target:
        return "met"
    return verdict(met=False) if hits > target * runs else "met; bound needs more runs"


def hits(endings: Sequence[Ending], rule: str = OURS) -> int:
    """Return in how many runs a rule rolled back."""
    return sum(ending.get(rule) is not None for ending in endings)


def waits(endings: Sequence[Ending], rule: str = OURS) -> list[int | None]:
    """Return what each run took."""
    return [ending.get(rule) for ending in endings]


def wait(endings: Sequence[Ending], rule: str = OURS) -> str:
    """Return the median wait and that of nine in ten."""
    middle, late = (reached_by(waits(endings, rule), share) for share in (0.5, 0.9))
    return f"{_number(middle)} (9 of 10 by {_number(late)})"


def middle(endings: Sequence[Ending], rule: str) -> str:
    """Return a peer's median wait, nothing where it does not apply."""
    if not any(rule in ending for ending in endings):
        return NOTHING
    return _number(reached_by(waits(endings, rule), 0.5))


def share(endings: Sequence[Ending], rule: str) -> str:
    """Return a peer's rate of rollbacks, nothing where it does not apply."""
    applies = any(rule in ending for ending in endings)
    return percent(hits(endings, rule), len(endings)) if applies else NOTHING


def written(document: str, name: str, text: str) -> str:
    """Return a document with one simulation's block replaced.

    Raises:
        ValueError: Where the document has no such block.
    """
    begin, end = f"<!-- simulated: {name} -->", "<!-- /simulated -->"
    block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not block.search(document):
        raise ValueError(f"there is no block {begin} ... {end} to write into; add it")
    return block.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", document)


def _number(value: int | None) -> str:
    return "never" if value is None else f"{value:,}"
