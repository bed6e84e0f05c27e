"""Which values a chart of confidence sequences shows.

They begin wide, or without an end, and narrow down: a scale that held all of them would
show nothing but the beginning. It holds what lies about the promise and the later
looks; what is beyond is cut off at the edge.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

from flipback.course import CourseFinding
from flipback.plan import Guardrail
from flipback.report._tracks import Promise, Sample, promise_of


_LATER = 3
_FURTHEST = 3.0
_PAD = 0.08


class Domain(NamedTuple):
    """The ends of an axis; low is less than high."""

    low: float
    high: float


def domain_of(rail: Guardrail | None, tracks: Iterable[Sequence[Sample]]) -> Domain:
    """Return the values to show of some tracks of one guardrail."""
    findings: list[CourseFinding] = []
    latest: list[CourseFinding] = []
    for track in tracks:
        findings += [sample.finding for sample in track[len(track) // _LATER :]]
        latest += [sample.finding for sample in track[-1:]]
    return domain_about(rail, findings, latest)


def domain_about(
    rail: Guardrail | None,
    findings: Sequence[CourseFinding],
    latest: Sequence[CourseFinding],
) -> Domain:
    """Return the values to show of findings, centred on what the latest ones say."""
    fixed = [at for each in latest for at in _lines(promise_of(rail, each))]
    core = [*fixed, *_ends(rail, latest)]
    if not core:
        return Domain(-1.0, 1.0)
    reach = max(core) - min(core) or max(abs(core[0]), 1.0)
    low, high = min(core), max(core)
    every = [*core, *_ends(rail, findings)]
    low = max(min(every), low - _FURTHEST * reach)
    high = min(max(every), high + _FURTHEST * reach)
    pad = (high - low or reach) * _PAD
    return Domain(low - pad, high + pad)


def ends_of(promise: Promise, finding: CourseFinding) -> tuple[float, float] | None:
    """Return a confidence sequence as it is drawn, None where there is none."""
    if finding.low is None or finding.high is None:
        return None
    return promise.origin + finding.low, promise.origin + finding.high


def estimate_of(promise: Promise, finding: CourseFinding) -> float | None:
    """Return what the confidence sequence is about, as it is drawn."""
    if finding.candidate_value is None:
        return None
    if promise.neutral is None:
        return finding.candidate_value
    if finding.control_value is None:
        return None
    return finding.candidate_value - finding.control_value


def _lines(promise: Promise) -> Sequence[float]:
    lines = (promise.neutral, promise.lowest, promise.highest)
    return [at for at in lines if at is not None and isfinite(at)]


def _ends(rail: Guardrail | None, findings: Iterable[CourseFinding]) -> list[float]:
    found: list[float] = []
    for finding in findings:
        promise = promise_of(rail, finding)
        ends = ends_of(promise, finding) or ()
        estimate = estimate_of(promise, finding)
        found += [end for end in ends if isfinite(end)]
        found += [] if estimate is None or not isfinite(estimate) else [estimate]
    return found
