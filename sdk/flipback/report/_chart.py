"""Charts that keep their text readable at any width, without a script.

Lines and areas are in an inner drawing that is stretched to the width there is; marks
and text are outside of it, at percentages. Strokes are not stretched.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

from flipback.report._html import NOTHING, Markup, joined, tag
from flipback.report._times import ticks
from flipback.report._units import Unit, amount


WIDTH = 1000.0
_FAR = 1e6
_TICK_GAP = 14
_STEPS = (1.0, 2.0, 5.0, 10.0)


class Spot(NamedTuple):
    """A place in a chart, in the units of its axes."""

    at: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The axes of one chart: seconds or values across, values upwards.

    Attributes:
        start: Left end.
        end: Right end, greater.
        low: Bottom.
        high: Top, greater.
        height: Pixels.
    """

    start: float
    end: float
    low: float
    high: float
    height: int

    def across(self, at: float) -> str:
        """Return the place of a time, in percent of the width."""
        return f"{_clamped(self._share(at)) * 100:.2f}%"

    def up(self, value: float) -> float:
        """Return the place of a value, in pixels from the top; bounded far outside."""
        share = (value - self.low) / (self.high - self.low)
        share = min(max(share, -_FAR), _FAR) if share == share else 0.0  # noqa: PLR0124 - not a number
        return round(self.height * (1 - share), 1)

    def point(self, at: float, value: float) -> str:
        """Return a place in the inner drawing."""
        return f"{self._share(at) * WIDTH:.1f} {min(max(self.up(value), -9e3), 9e3):g}"

    def holds(self, value: float) -> bool:
        """Return whether a value lies between bottom and top."""
        return self.low <= value <= self.high

    def _share(self, at: float) -> float:
        return (at - self.start) / (self.end - self.start)


def chart(
    frame: Frame, *parts: str, title: str, about: str, class_: str = "", foot: int = 0
) -> Markup:
    """Return a chart with its name and description for who cannot see it.

    Args:
        frame: Its axes.
        parts: What is in it, the first at the back.
        title: What it is.
        about: What it shows, in a sentence or two.
        class_: For the style sheet.
        foot: Pixels below the axes, for labels.
    """
    return tag(
        "svg",
        tag("title", title),
        tag("desc", about),
        *parts,
        class_=f"chart {class_}".strip(),
        role="img",
        width="100%",
        height=frame.height + foot,
    )


def drawing(frame: Frame, *paths: str) -> Markup:
    """Return the inner drawing, stretched to the width; what is outside is cut off."""
    return tag(
        "svg",
        *paths,
        width="100%",
        height=frame.height,
        viewBox=f"0 0 {WIDTH:g} {frame.height}",
        preserveAspectRatio="none",
    )


def path(d: str, class_: str) -> Markup:
    """Return a path of the inner drawing; nothing where there is none."""
    return tag("path", d=d, class_=class_) if d else NOTHING


def line(frame: Frame, runs: Iterable[Sequence[Spot]], class_: str) -> Markup:
    """Return a line through spots; a run of one is a dot."""
    return path("".join(_run(frame, run) for run in runs if run), class_)


def steps(frame: Frame, spots: Sequence[Spot], class_: str) -> Markup:
    """Return a line that keeps each value until the next spot."""
    if not spots:
        return NOTHING
    parts = [f"M{frame.point(*spots[0])}"]
    for before, here in itertools.pairwise(spots):
        parts.append(f"L{frame.point(here.at, before.value)}")
        parts.append(f"L{frame.point(*here)}")
    return path("".join(parts), class_)


def under(frame: Frame, spots: Sequence[Spot], class_: str) -> Markup:
    """Return the area below a stepped line, down to the bottom."""
    if not spots:
        return NOTHING
    parts = [f"M{frame.point(spots[0].at, frame.low)}L{frame.point(*spots[0])}"]
    for before, here in itertools.pairwise(spots):
        parts.append(f"L{frame.point(here.at, before.value)}")
        parts.append(f"L{frame.point(*here)}")
    return path("".join([*parts, f"L{frame.point(spots[-1].at, frame.low)}Z"]), class_)


def band(
    frame: Frame, runs: Iterable[Sequence[tuple[float, float, float]]], class_: str
) -> Markup:
    """Return the area between low and high; each run holds time, low and high."""
    return path("".join(_area(frame, run) for run in runs if run), class_)


def between(frame: Frame, low: float, high: float, class_: str) -> Markup:
    """Return the area between two values, over the whole width."""
    top, bottom = frame.up(min(high, frame.high)), frame.up(max(low, frame.low))
    if bottom <= top:
        return NOTHING
    return tag(
        "rect", x="0", y=top, width="100%", height=round(bottom - top, 1), class_=class_
    )


def level(frame: Frame, value: float, class_: str) -> Markup:
    """Return a line at one value, over the whole width; nothing where it is outside."""
    if not frame.holds(value):
        return NOTHING
    y = frame.up(value)
    return tag("line", x1="0", x2="100%", y1=y, y2=y, class_=class_)


def upright(
    frame: Frame, at: float, class_: str, *, top: float = 0.0, foot: float = 0.0
) -> Markup:
    """Return a line at one time, over the whole height and further."""
    x = frame.across(at)
    return tag("line", x1=x, x2=x, y1=top, y2=frame.height + foot, class_=class_)


def text(x: str | float, y: float, said: str, class_: str) -> Markup:
    """Return text at a place, `class_` saying which end of it is there."""
    return tag("text", said, x=x, y=y, class_=class_)


def beside(frame: Frame, labels: Iterable[tuple[float, str, str]]) -> Markup:
    """Return labels right of the chart, apart from each other: value, text, class."""
    parts: list[str] = []
    free = -_FAR
    for value, said, class_ in sorted(labels, key=lambda label: -label[0]):
        y = max(frame.up(value) + 4, free)
        free = y + _TICK_GAP
        parts.append(tag("text", said, x="100%", dx=6, y=y, class_=class_))
    return joined(*parts)


def values_axis(frame: Frame, unit: Unit, *, most: int = 4) -> Markup:
    """Return the marks of the upward axis, left of the chart."""
    step = round_step((frame.high - frame.low) / most)
    first = ceil(frame.low / step - 1e-9)
    last = floor(frame.high / step + 1e-9)
    parts: list[str] = []
    for value in (place * step for place in range(first, last + 1)):
        y = frame.up(value)
        label = amount(value, unit, step=step)
        parts.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
        parts.append(text(-7, y + 4, label, "end"))
    return joined(*parts)


def time_axis(frame: Frame) -> Markup:
    """Return the marks of the time axis, below the chart."""
    parts: list[str] = []
    base = frame.height
    for place, each in enumerate(ticks(frame.start, frame.end)):
        x = frame.across(each.at)
        parts.append(tag("line", x1=x, x2=x, y1=base, y2=base + 4, class_="axis"))
        class_ = f"{_anchor(frame, each.at)}{' odd' if place % 2 else ''}"
        parts.append(text(x, base + 4 + _TICK_GAP, each.label, class_))
        if each.date:
            y = base + 4 + 2 * _TICK_GAP
            parts.append(text(x, y, each.date, f"{_anchor(frame, each.at)} faint"))
    parts.append(tag("line", x1="0", x2="100%", y1=base, y2=base, class_="axis"))
    return joined(*parts)


def round_step(rough: float) -> float:
    """Return a round number that is not less, 1 for what is no size."""
    if not (isfinite(rough) and rough > 0):
        return 1.0
    size = 10.0 ** floor(log10(rough))
    return next((m * size for m in _STEPS if m * size >= rough * 0.999), 10 * size)


def _anchor(frame: Frame, at: float) -> str:
    """Return which end of a label is at its place, so that none leaves the chart."""
    share = (at - frame.start) / (frame.end - frame.start)
    if share < 0.03:  # noqa: PLR2004 - where half a label would not fit
        return "start"
    return "end" if share > 0.97 else "middle"  # noqa: PLR2004 - likewise


def _run(frame: Frame, run: Sequence[Spot]) -> str:
    first = f"M{frame.point(*run[0])}"
    if len(run) == 1:
        return f"{first}h0"
    return first + "".join(f"L{frame.point(*spot)}" for spot in run[1:])


def _area(frame: Frame, run: Sequence[tuple[float, float, float]]) -> str:
    if len(run) == 1:
        at, low, high = run[0]
        return f"M{frame.point(at, low)}L{frame.point(at, high)}"
    there = [f"L{frame.point(at, high)}" for at, _, high in run]
    back = [f"L{frame.point(at, low)}" for at, low, _ in reversed(run)]
    return "M" + "".join([*there, *back])[1:] + "Z"


def _clamped(share: float) -> float:
    return min(max(share, 0.0), 1.0)
