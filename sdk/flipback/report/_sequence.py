"""One confidence sequence over time, large or small, and the proof below it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from flipback.plan import Guardrail
from flipback.ports import EntryKind
from flipback.report._chart import (
    Frame,
    Spot,
    band,
    beside,
    between,
    chart,
    drawing,
    level,
    line,
    time_axis,
    upright,
    values_axis,
)
from flipback.report._data import ReportData, when
from flipback.report._domain import Domain, ends_of, estimate_of
from flipback.report._html import NOTHING, Markup, joined
from flipback.report._tracks import Promise, Sample, promise_of, runs_of
from flipback.report._units import Unit, amount, log_number, range_text
from flipback.report._words import VERDICTS, measured, whom
from flipback.verdict import Verdict


_TALL, _LOW, _SMALL = 168, 84, 92
_FOOT = 38
_ROOM = 1.25
_LEAST_FALL = -1.0
_CHANGES = frozenset({EntryKind.ADVANCE, EntryKind.PROMOTE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What the sequences of one guardrail are drawn on.

    Attributes:
        data: All data, for the time that the page is about.
        rail: The guardrail, None where the plan has lost it since.
        domain: The values to show.
        unit: Of these values.
    """

    data: ReportData
    rail: Guardrail | None
    domain: Domain
    unit: Unit

    def frame(self, height: int) -> Frame:
        """Return the axes."""
        start, end = self.data.span
        low, high = self.domain
        return Frame(start=start, end=end, low=low, high=high, height=height)

    def promise(self, sample: Sample) -> Promise:
        """Return what was promised, given what control was worth at a look."""
        return promise_of(self.rail, sample.finding)


def sequence(drawn: Drawing, track: Sequence[Sample], *, small: bool = False) -> Markup:
    """Return the confidence sequence of a track over time."""
    latest = track[-1]
    promise = drawn.promise(latest)
    frame = drawn.frame(_SMALL if small else _TALL)
    about = f"{measured(latest.finding)} of {whom(latest.finding.cohort)}"
    return chart(
        frame,
        _beyond(frame, promise),
        NOTHING if small else values_axis(frame, drawn.unit),
        NOTHING if small else _happenings(drawn.data, frame),
        NOTHING
        if promise.neutral is None
        else level(frame, promise.neutral, "neutral"),
        drawing(frame, *_lines(drawn, track, frame)),
        NOTHING if small else _labels(drawn, track, frame),
        title=f"Confidence sequence over time: {about}",
        about=story(drawn, track),
        class_="small" if small else "",
    )


def proof(drawn: Drawing, track: Sequence[Sample]) -> Markup:
    """Return log E of a track over time, against what it must reach."""
    threshold = track[-1].finding.log_threshold
    values = [sample.finding.log_e for sample in track]
    bar = threshold if isfinite(threshold) else max(*values, 1.0)
    start, end = drawn.data.span
    frame = Frame(
        start=start,
        end=end,
        low=max(min(_LEAST_FALL, *values), -bar),
        high=max(bar, *values) * _ROOM,
        height=_LOW,
    )
    runs: dict[int, list[Spot]] = {}
    for sample in track:
        runs.setdefault(sample.run, []).append(Spot(sample.at, sample.finding.log_e))
    of = f"{measured(track[-1].finding)} of {whom(track[-1].finding.cohort)}"
    return chart(
        frame,
        between(frame, threshold, frame.high, "harm"),
        values_axis(frame, Unit.MERE, most=3),
        _happenings(drawn.data, frame),
        level(frame, threshold, "bound"),
        drawing(frame, line(frame, runs.values(), _classed("estimate", track))),
        beside(
            frame,
            [
                (bar, f"proof {log_number(threshold)}", "bound-label"),
                (max(values[-1], frame.low), log_number(values[-1]), "strong"),
            ],
        ),
        time_axis(frame),
        title=f"log E over time: {of}",
        about=f"Now {log_number(values[-1])}, at most {log_number(max(values))}; "
        f"harm is proven at {log_number(threshold)}.",
        foot=_FOOT,
    )


def story(drawn: Drawing, track: Sequence[Sample]) -> str:
    """Return what a chart shows, for who cannot see it."""
    finding = track[-1].finding
    ends = ends_of(drawn.promise(track[-1]), finding)
    if ends is None:
        return f"{len(track)} looks; the difference cannot be bounded yet."
    said = range_text(*ends, drawn.unit)
    return f"{len(track)} looks; at the last {said}, {VERDICTS[finding.verdict]}."


def _beyond(frame: Frame, promise: Promise) -> Markup:
    """Return the ground of what is harm beyond the bound."""
    low, high = promise.lowest, promise.highest
    return joined(
        NOTHING if high is None else between(frame, high, frame.high, "harm"),
        NOTHING if low is None else between(frame, frame.low, low, "harm"),
    )


def _lines(drawn: Drawing, track: Sequence[Sample], frame: Frame) -> Iterator[Markup]:
    """Yield the band, what it is about, and the bounds, from back to front."""
    runs = runs_of(track)
    areas: list[list[tuple[float, float, float]]] = []
    middle: list[list[Spot]] = []
    lowest: list[list[Spot]] = []
    highest: list[list[Spot]] = []
    for run in runs:
        promised = [(each, drawn.promise(each)) for each in run]
        areas.append(
            [
                (each.at, *ends)
                for each, promise in promised
                if (ends := ends_of(promise, each.finding)) is not None
            ]
        )
        middle.append(
            _spots((e.at, estimate_of(promise, e.finding)) for e, promise in promised)
        )
        lowest.append(_spots((each.at, promise.lowest) for each, promise in promised))
        highest.append(_spots((each.at, promise.highest) for each, promise in promised))
    yield band(frame, areas, _classed("band", track))
    yield line(frame, lowest, "bound")
    yield line(frame, highest, "bound")
    yield line(frame, middle, _classed("estimate", track))


def _spots(values: Iterator[tuple[float, float | None]]) -> list[Spot]:
    return [Spot(at, value) for at, value in values if value is not None]


def _classed(name: str, track: Sequence[Sample]) -> str:
    return f"{name} failed" if track[-1].finding.verdict is Verdict.FAIL else name


def _labels(drawn: Drawing, track: Sequence[Sample], frame: Frame) -> Markup:
    """Return what the lines are, right of them."""
    promise = drawn.promise(track[-1])
    estimate = estimate_of(promise, track[-1].finding)
    step = (frame.high - frame.low) / 100
    named = (
        (promise.highest, "bound ", "bound-label"),
        (promise.lowest, "bound ", "bound-label"),
        (estimate, "", "strong"),
    )
    return beside(
        frame,
        [
            (value, f"{said}{amount(value, drawn.unit, step=step)}", class_)
            for value, said, class_ in named
            if value is not None and frame.holds(value)
        ],
    )


def _happenings(data: ReportData, frame: Frame) -> Markup:
    """Return a line where subjects were offered something else."""
    changes = [each for each in data.entries if each.kind in _CHANGES]
    marks = [*((each, "step") for each in changes), *((k, "flip") for k in data.kills)]
    return joined(
        *(
            upright(frame, at, class_)
            for entry, class_ in marks
            if (at := when(entry.at)) is not None
        )
    )
