"""The course, sorted by guardrail, measure and cohort: one track each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from flipback.course import CourseFinding, CoursePoint
from flipback.plan import FailsOn, Guardrail
from flipback.report._data import FindingKey, ReportData, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finding at one look, as it is drawn.

    Attributes:
        at: Unix seconds.
        run: Samples of one run are joined by a line; a kill begins another.
        finding: What was found.
    """

    at: float
    run: int
    finding: CourseFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a guardrail promises, in the unit of what is drawn.

    A relative tolerance is drawn as a difference from control, where 0 is no change; a
    limit as the candidate's own value.

    Attributes:
        origin: What is added to a confidence sequence before it is drawn.
        neutral: The line of no change; None of a limit.
        lowest: Below this is harm; None where a fall is none.
        highest: Above this is harm; None where a rise is none.
    """

    origin: float
    neutral: float | None
    lowest: float | None
    highest: float | None


def tracks_of(data: ReportData) -> Mapping[FindingKey, Sequence[Sample]]:
    """Return a track of each finding that was ever kept, the last look included."""
    found: dict[FindingKey, list[Sample]] = {}
    run, before = 0, None
    for point in _points(data):
        if before is not None and _starts_anew(before, point):
            run += 1
        for finding in point.findings:
            sample = Sample(at=point.at, run=run, finding=finding)
            found.setdefault(key_of(finding), []).append(sample)
        before = point
    return found


def thinned(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most so many samples and some, evenly; first and last are kept."""
    if len(samples) <= most:
        return samples
    step = (len(samples) - 1) / (most - 1)
    return [samples[round(place * step)] for place in range(most)]


def runs_of(samples: Sequence[Sample]) -> Sequence[Sequence[Sample]]:
    """Return the samples that a line joins; what is not bounded ends a line."""
    runs: list[list[Sample]] = []
    before: Sample | None = None
    for sample in samples:
        if not is_bounded(sample.finding):
            before = None
            continue
        if before is None or before.run != sample.run:
            runs.append([])
        runs[-1].append(sample)
        before = sample
    return runs


def is_bounded(finding: CourseFinding) -> bool:
    """Return whether there is a confidence sequence with an end to draw."""
    low, high = finding.low, finding.high
    return low is not None and high is not None and (isfinite(low) or isfinite(high))


def promise_of(guardrail: Guardrail | None, finding: CourseFinding) -> Promise:
    """Return what a guardrail promises, given what control is worth at a look."""
    if guardrail is None:
        return Promise(origin=0.0, neutral=0.0, lowest=None, highest=None)
    if guardrail.limit is not None:
        return _promise(guardrail, guardrail.limit, None, room=0.0)
    size = abs(finding.control_value or 0.0)
    return _promise(guardrail, 0.0, 0.0, room=size * (guardrail.tolerance or 0.0))


def _promise(
    guardrail: Guardrail, origin: float, neutral: float | None, *, room: float
) -> Promise:
    falls = guardrail.fails_on is not FailsOn.INCREASE
    rises = guardrail.fails_on is not FailsOn.DECREASE
    return Promise(
        origin=origin,
        neutral=neutral,
        lowest=origin - room if falls else None,
        highest=origin + room if rises else None,
    )


def _points(data: ReportData) -> Sequence[CoursePoint]:
    points = list(data.observed)
    decided, last = data.decided, data.last_look
    if decided is not None:  # what came later decided nothing
        earlier = [point for point in points if point.at <= decided.at]
        return earlier if decided in points else [*earlier, decided]
    if last is not None and (not points or last.at > points[-1].at):
        points.append(last)
    return points


def _starts_anew(before: CoursePoint, after: CoursePoint) -> bool:
    """Return whether evidence began anew: after a kill, in another comparison."""
    return (
        before.trip != after.trip
        or after.candidate_exposures < before.candidate_exposures
        or after.control_exposures < before.control_exposures
    )
