"""Plots as SVG, the same bytes for the same numbers, on a white card."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from textwrap import fill

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests.simulations._bounds import lower_bound, upper_bound


OURS_COLOUR = "#0b6e4f"
PEER_COLOUR = "#8a8f98"
TARGET_COLOUR = "#c0392b"
SHADES = ("#0b6e4f", "#2b6cb0", "#b7791f", "#805ad5")

mpl.use("Agg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "flipback",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e3e5e8",
        "axes.axisbelow": True,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
)

Rates = Mapping[str, tuple[int, int]]
"""Hits and runs by rule."""


def rates(panels: Mapping[str, Rates], *, target: float) -> bytes:
    """Draw measured rates with exact 90 % intervals, a panel for each design."""
    tall = max(map(len, panels.values()))
    figure = Figure(figsize=(9, 0.9 + 0.34 * tall), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=False, squeeze=False)[0]
    for axis, (title, found) in zip(axes, panels.items(), strict=True):
        _rates_panel(axis, title, found, target)
    return _svg(figure)


def _rates_panel(axis: Axes, title: str, found: Rates, target: float) -> None:
    names = list(found)[::-1]
    for place, name in enumerate(names):
        hits, runs = found[name]
        low, high = lower_bound(hits, runs), upper_bound(hits, runs)
        colour = OURS_COLOUR if name == "flipback" else PEER_COLOUR
        axis.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2)
        axis.plot(100 * hits / runs, place, "o", color=colour, markersize=5)
    axis.axvline(100 * target, color=TARGET_COLOUR, linestyle="--", linewidth=1)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(-3, 103)
    axis.set_xlabel("runs rolled back, %")
    axis.set_title(fill(title, 48), fontsize=9, loc="left")


def waits(
    panels: Mapping[str, tuple[int, Mapping[str, Sequence[int | None]]]],
) -> bytes:
    """Draw which share of runs each rule has ended by when.

    Args:
        panels: By design: the target of the median, and the waits of each rule.
    """
    wide = min(3, len(panels))
    high = -(-len(panels) // wide)
    figure = Figure(figsize=(9, 2.6 * high), layout="constrained")
    axes = figure.subplots(high, wide, sharey=True, squeeze=False).reshape(-1)
    for axis, (title, (target, rules)) in zip(axes, panels.items(), strict=False):
        _waits_panel(axis, title, target, rules)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supylabel("runs ended, %", fontsize=9)
    drawn = {
        line.get_label(): line
        for axis in axes
        for line in axis.lines
        if not str(line.get_label()).startswith("_")
    }
    figure.legend(
        drawn.values(),
        drawn.keys(),
        loc="outside lower center",
        ncols=len(drawn),
        frameon=False,
        fontsize=8,
    )
    return _svg(figure)


_STYLES = {
    "flipback": ("#0b6e4f", "-", 2.2),
    "GrowthBook": ("#2b6cb0", "-", 1.2),
    "mSPRT": ("#805ad5", "-", 1.2),
    "Flagger": ("#b7791f", "--", 1.2),
    "Argo": ("#d53f8c", "--", 1.2),
    "Kayenta": ("#4a5568", ":", 1.5),
}


def _waits_panel(
    axis: Axes, title: str, target: int, rules: Mapping[str, Sequence[int | None]]
) -> None:
    for name, (colour, line, width) in _STYLES.items():
        if name in rules:
            ended = sorted(wait for wait in rules[name] if wait is not None)
            shares = [
                100 * (place + 1) / len(rules[name]) for place in range(len(ended))
            ]
            axis.step(
                ended,
                shares,
                where="post",
                color=colour,
                linestyle=line,
                linewidth=width,
                label=name,
            )
    axis.plot(
        [target],
        [50],
        marker="D",
        color=TARGET_COLOUR,
        markersize=5,
        label="target",
        linestyle="",
    )
    axis.set_xscale("log")
    axis.set_xlim(1, 20_000)
    axis.set_ylim(0, 102)
    axis.set_title(fill(title, 38), fontsize=8, loc="left")
    axis.set_xlabel("requests of the candidate")
    axis.label_outer()


def characteristic(
    curves: Mapping[str, Sequence[tuple[float, int, int]]], *, target: float
) -> bytes:
    """Draw how often a gate passes, by true harm over its margin.

    Args:
        curves: By gate: harm over margin, passes, and runs.
        target: The share that may pass at the margin.
    """
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axis = figure.subplots()
    for (name, points), colour in zip(curves.items(), SHADES, strict=False):
        at = [harm for harm, _, _ in points]
        passed = [100 * hits / runs for _, hits, runs in points]
        low = [100 * lower_bound(hits, runs) for _, hits, runs in points]
        high = [100 * upper_bound(hits, runs) for _, hits, runs in points]
        axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            at, passed, "o-", color=colour, markersize=3.5, linewidth=1.5, label=name
        )
    axis.plot(
        [1], [100 * target], "D", color=TARGET_COLOUR, label="at most, at the margin"
    )
    axis.axvline(1, color=TARGET_COLOUR, linestyle="--", linewidth=1)
    axis.set_xlabel("true harm, as a share of the margin")
    axis.set_ylabel("runs that passed the gate, %")
    axis.set_ylim(0, 102)
    axis.legend(fontsize=8, framealpha=1, edgecolor="white")
    return _svg(figure)


def _svg(figure: Figure) -> bytes:
    written = BytesIO()
    figure.savefig(
        written, format="svg", metadata={"Date": None, "Creator": "flipback"}
    )
    return written.getvalue()
