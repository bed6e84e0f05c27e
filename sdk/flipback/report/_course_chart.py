"""Weight over time: what subjects were offered, and what was done to it."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flipback.ports import EntryKind, LedgerEntry
from flipback.report._chart import (
    Frame,
    Spot,
    chart,
    drawing,
    steps,
    text,
    time_axis,
    under,
    upright,
    values_axis,
)
from flipback.report._data import ReportData, cohort_of, when
from flipback.report._html import Markup, tag
from flipback.report._units import Unit, percent, short
from flipback.rollout import Phase


_HEIGHT = 170
_LANE = 20
_LANES = 3
_FOOT = 38
_PHASE_LANE = 18
_CLOSE = 0.028
_WIDE_ENOUGH = 0.07
_TOLD = frozenset(EntryKind) - {EntryKind.EPOCH}
FLIPS = frozenset({EntryKind.KILL, EntryKind.DRY_RUN})


class Move(NamedTuple):
    """One thing that was done, with the number that the chart shows for it."""

    number: int
    entry: LedgerEntry
    at: float | None


def moves_of(data: ReportData) -> Sequence[Move]:
    """Return what was done, oldest first; flag writes are told with their cause."""
    told = [
        entry
        for entry in data.entries
        if entry.kind in _TOLD and entry.kind is not EntryKind.FLAG_WRITE
    ]
    return [Move(n, entry, when(entry.at)) for n, entry in enumerate(told, start=1)]


def course_chart(data: ReportData, moves: Sequence[Move]) -> Markup:
    """Return the chart; a sentence where nothing was ever kept."""
    weights = _weights(data, moves)
    if not weights and not moves:
        return tag("p", "Nothing has been kept of this attempt.", class_="empty")
    start, end = data.span
    frame = Frame(start=start, end=end, low=0.0, high=1.0, height=_HEIGHT)
    return tag(
        "div",
        chart(
            frame,
            *_phases(data, frame),
            values_axis(frame, Unit.SHARE, most=4),
            drawing(
                frame,
                under(frame, weights, "offered-area"),
                steps(frame, weights, "offered"),
            ),
            time_axis(frame),
            *_marks(data, frame, moves),
            *_labels(frame, weights),
            title="Weight over time",
            about=_about(data, weights, moves),
            class_="course",
            foot=_FOOT,
        ),
        class_="plot headroom",
    )


def _weights(data: ReportData, moves: Sequence[Move]) -> Sequence[Spot]:
    """Return the weight as a share; a kill of everybody takes it to nothing at once."""
    spots = [Spot(p.at, p.weight / 100) for p in data.course if p.weight is not None]
    kills = [
        Spot(move.at, 0.0)
        for move in moves
        if move.at is not None
        and move.entry.kind is EntryKind.KILL
        and not cohort_of(move.entry)
    ]
    known = sorted([*spots, *kills], key=lambda spot: spot.at)
    kept = [
        spot
        for n, spot in enumerate(known)
        if n in {0, len(known) - 1} or spot.value != known[n - 1].value
    ]
    if kept:
        kept.append(Spot(data.span[1], kept[-1].value))
    return kept


class _Stretch(NamedTuple):
    phase: Phase
    stage: int
    start: float
    end: float


def _stretches(data: ReportData) -> Sequence[_Stretch]:
    """Return for how long each phase and stage lasted; a kill ends any at once."""
    begins = [(p.at, p.phase, p.stage) for p in data.course]
    killed = (when(entry.at) for entry in data.kills)
    begins += [(at, Phase.ROLLED_BACK, 0) for at in killed if at is not None]
    if data.record is not None and data.record.started and data.course:
        first = data.course[0]
        begins.append((min(first.at, data.record.started), first.phase, first.stage))
    found: list[_Stretch] = []
    for at, phase, stage in sorted(begins, key=lambda begin: begin[0]):
        if found and (found[-1].phase, found[-1].stage) == (phase, stage):
            continue
        if found:
            found[-1] = found[-1]._replace(end=at)
        found.append(_Stretch(phase, stage, at, data.span[1]))
    return found


def _phases(data: ReportData, frame: Frame) -> Iterator[Markup]:
    """Yield a strip above the chart that names the phases, and their borders."""
    y = -_PHASE_LANE
    for stretch in _stretches(data):
        share = (stretch.end - stretch.start) / (frame.end - frame.start)
        x = frame.across(stretch.start)
        width = f"{max(0.0, share) * 100:.2f}%"
        name = stretch.phase.name.lower().replace("_", "-")
        parts = [tag("title", f"{_named(data, stretch)} {_from(data, stretch)}")]
        yield tag(
            "rect",
            *parts,
            x=x,
            y=y,
            width=width,
            height=_PHASE_LANE - 4,
            class_=f"phase {name}",
        )
        if share > _WIDE_ENOUGH:
            inner = tag(
                "svg",
                text(5, _PHASE_LANE - 8, _named(data, stretch), "start phase-name"),
                x=x,
                y=y,
                width=width,
                height=_PHASE_LANE,
            )
            yield inner


def _named(data: ReportData, stretch: _Stretch) -> str:
    if stretch.phase not in {Phase.SHADOW, Phase.CANARY}:
        return stretch.phase.value
    stages = data.plan.stages
    stage = stages[min(stretch.stage, len(stages) - 1)]
    if stage.weight is None:
        return f"{stretch.phase.value} {short((stage.shadow or 0.0) * 100)} %"
    return f"{stretch.phase.value} {short(stage.weight)} %"


def _from(data: ReportData, stretch: _Stretch) -> str:
    return f"from {data.time(stretch.start)} to {data.time(stretch.end)}"


def _marks(data: ReportData, frame: Frame, moves: Sequence[Move]) -> Iterator[Markup]:
    """Yield a numbered mark for each move; close ones are stacked, the rest bare."""
    ends = [-1.0] * _LANES
    for move in moves:
        if move.at is None:
            continue
        share = (move.at - frame.start) / (frame.end - frame.start)
        lane = next((n for n, end in enumerate(ends) if share - end > _CLOSE), None)
        flip = "flip" if move.entry.kind in FLIPS else "move"
        if lane is None:
            yield upright(frame, move.at, flip, top=-_PHASE_LANE)
            continue
        ends[lane] = share
        y = -_PHASE_LANE - 10 - lane * _LANE
        yield upright(frame, move.at, flip, top=y + 8)
        yield _numbered(data, frame.across(move.at), y, move, flip)


def _numbered(data: ReportData, x: str, y: float, move: Move, class_: str) -> Markup:
    at = "" if move.at is None else data.time(move.at)
    return tag(
        "g",
        tag("title", f"{move.number}: {move.entry.kind.value} {at}"),
        tag("circle", cx=x, cy=y, r=8, class_=f"{class_}-dot"),
        text(x, y + 4, str(move.number), f"middle {class_}-number"),
    )


def _labels(frame: Frame, weights: Sequence[Spot]) -> Iterator[Markup]:
    """Yield the weight of each step that is wide enough to stand on."""
    for spot, after in itertools.pairwise(weights):
        share = (after.at - spot.at) / (frame.end - frame.start)
        if share > _WIDE_ENOUGH and after.at > spot.at:
            y = max(12.0, frame.up(spot.value) - 6)
            x = frame.across((spot.at + after.at) / 2)
            yield text(x, y, percent(spot.value), "middle strong")


def _about(data: ReportData, weights: Sequence[Spot], moves: Sequence[Move]) -> str:
    start, end = data.span
    plan = data.plan
    shown = f"Percent of subjects offered {plan.candidate}"
    changes = "; ".join(
        f"{percent(spot.value)} from {data.time(spot.at)}" for spot in weights[:20]
    )
    span = f"from {data.time(start)} to {data.time(end)}"
    return f"{shown}, {span}: {changes or 'unknown'}. {len(moves)} marked moves."
