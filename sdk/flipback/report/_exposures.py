"""How much was observed: exposures of both arms over time."""

from collections.abc import Callable, Iterator, Sequence

from flipback.course import CoursePoint
from flipback.report._chart import (
    Frame,
    Spot,
    chart,
    drawing,
    line,
    text,
    time_axis,
    values_axis,
)
from flipback.report._data import ReportData
from flipback.report._html import Markup, joined, tag
from flipback.report._units import Unit, count


_HEIGHT = 120
_FOOT = 38
_MOST = 300
_ROOM = 1.12


def exposures(data: ReportData) -> Markup:
    """Return a chart for each arm, each on its own scale."""
    points = data.observed
    if not points:
        return tag("p", "Nothing was exposed in this attempt.", class_="empty")
    plan = data.plan
    arms = (
        (plan.candidate, "candidate", _of_candidate),
        (plan.control, "control", _of_control),
    )
    return joined(
        tag(
            "div",
            *(_arm(data, points, name, role, of) for name, role, of in arms),
            class_="pair",
        ),
        _excluded(data),
    )


def _arm(
    data: ReportData,
    points: Sequence[CoursePoint],
    name: str,
    role: str,
    of: Callable[[CoursePoint], int],
) -> Markup:
    start, end = data.span
    top = max(map(of, points)) or 1
    frame = Frame(start=start, end=end, low=0.0, high=top * _ROOM, height=_HEIGHT)
    last = count(of(points[-1]), "exposure")
    runs = list(_runs(_thinned(points), of))
    return tag(
        "figure",
        tag("figcaption", tag("b", name), f" ({role})"),
        tag(
            "div",
            chart(
                frame,
                values_axis(frame, Unit.MERE, most=3),
                drawing(frame, line(frame, runs, f"count {role}")),
                text("100%", frame.up(of(points[-1])) - 7, f"{last}", "end strong"),
                time_axis(frame),
                title=f"Exposures of {name} over time",
                about=f"{last} at the last look, at most {top:,}; evidence that "
                "begins anew is counted from 0.",
                foot=_FOOT,
            ),
            class_="plot",
        ),
    )


def _runs(
    points: Sequence[CoursePoint], of: Callable[[CoursePoint], int]
) -> Iterator[Sequence[Spot]]:
    run: list[Spot] = []
    for point in points:
        if run and of(point) < run[-1].value:
            yield run
            run = []
        run.append(Spot(point.at, float(of(point))))
    yield run


def _thinned(points: Sequence[CoursePoint]) -> Sequence[CoursePoint]:
    every = -(-len(points) // _MOST)
    return [*points[:-1:every], points[-1]]


def _of_candidate(point: CoursePoint) -> int:
    return point.candidate_exposures


def _of_control(point: CoursePoint) -> int:
    return point.control_exposures


def _excluded(data: ReportData) -> Markup:
    said = ", ".join(f"{n:,} {why}" for why, n in sorted(data.excluded.items()))
    text = f"Not compared: {said}." if said else "No exposure was left out."
    return tag("p", text, class_="quiet")
