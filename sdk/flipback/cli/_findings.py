"""Evidence as a table, one line per finding, and the gate beside it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from flipback.analysis import Analysis
from flipback.assignment import EVERYBODY, Cohort
from flipback.cli._brief import brief
from flipback.control import culprits
from flipback.signals import Measure
from flipback.verdict import (
    Finding,
    Gate,
    GateFinding,
    HypothesisFinding,
    Interval,
    Verdict,
)


_GATE_COLUMN = "gate"
_COLUMNS = (
    "metric",
    "cohort",
    "observations",
    "control",
    "candidate",
    "effect",
    "difference between",
    "log E",
    _GATE_COLUMN,
    "verdict",
)
_LEAST = ("difference between", "observations", "control", "candidate", "log E")
_GAP = 2
_TEXT_COLUMNS = frozenset({"metric", "cohort", "verdict"})
_MEASURES = {
    Measure.VALUE: "",
    Measure.LOG: " (body)",
    Measure.TAIL: " (tail)",
    Measure.CAPPED: " (capped)",
}
_WAITS = re.compile(r"needs \d+ more|not known yet")
_GATE = {Verdict.PASS: "passes", Verdict.FAIL: "harm"}

AnyFinding = Finding | GateFinding


def evidence_table(
    analysis: Analysis, gate: Gate | None, *, width: int | None = None
) -> Sequence[str]:
    """Return the evidence as aligned columns; nothing where there are no findings.

    Args:
        analysis: What was found.
        gate: What the gate says to the same findings, None without one.
        width: Columns of the terminal. Too few leave out what matters least, and the
            last line says so; None takes all of it.
    """
    if not analysis.findings:
        return []
    blamed = culprits(analysis) if analysis.verdict is Verdict.FAIL else ()
    gated = {} if gate is None else {_test_of(each): each for each in gate.findings}
    rows = [
        _COLUMNS,
        *(
            _row(finding, gated.get(_test_of(finding)), blamed=finding in blamed)
            for finding in analysis.findings
        ),
    ]
    columns = {
        name: _aligned(name, texts)
        for name, *texts in zip(*rows, strict=True)
        if name != _GATE_COLUMN or gate is not None
    }
    left_out = _fit(columns, width)
    lines = zip(*columns.values(), strict=True)
    return ["  ".join(cells).rstrip() for cells in lines] + left_out


def _fit(columns: dict[str, Sequence[str]], width: int | None) -> list[str]:
    """Take columns out until the others fit; return a line that says which."""
    left_out: list[str] = []
    for name in _LEAST:
        if width is None or _width(columns) <= width:
            break
        del columns[name]
        left_out.append(name)
    told = f"no room for {', '.join(left_out)}; see --json"
    return [told] if left_out else []


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    """Return the width of the table, indented; notes at its right may be cut off."""
    *others, last = [len(cells[0]) for cells in columns.values()]
    gaps = _GAP * (len(others) + 1)
    return sum(others) + min(last, len(f"{Verdict.FAIL} (blamed)")) + gaps


def name_of(finding: AnyFinding) -> str:
    """Return metric, measure and cohort of a finding."""
    return f"{_measured(finding)} of {_cohort(finding)}"


def hope(finding: HypothesisFinding) -> str:
    """Return what became of the hypothesis, in one sentence."""
    verb = "rises" if finding.hoped > 0 else "falls"
    said = f"{finding.verdict}: {finding.metric} {verb} by {abs(finding.hoped):.1%}"
    if finding.relative is None:
        return f"{said}; {finding.note}" if finding.note else said
    low, high = _share(finding.relative.low), _share(finding.relative.high)
    return f"{said}; its effect is between {low} and {high}"


def gate_lines(gate: Gate, analysis: Analysis | None = None) -> Iterator[str]:
    """Yield what a gate says, a sentence each; what the analysis has said is left out.

    The first one says whether the stage may be left.
    """
    passed = sum(finding.verdict is Verdict.PASS for finding in gate.findings)
    weight = "unknown" if gate.weight is None else f"{gate.weight:g} %"
    yield (
        f"from {weight} to {gate.next_weight:g} %: {_may(gate)}; harm ruled out by "
        f"{passed} of {len(gate.findings)} findings"
    )
    said = set[str]() if analysis is None else {*analysis.frozen, *analysis.faults}
    yield from (f"waits: {brief(wait)}" for wait in gate.waits if wait not in said)
    if gate.verdict is not Verdict.FAIL:
        yield from _slowest(gate)
    yield from _reasons(gate)
    if gate.asks:
        yield f"a person may accept, undecided: {', '.join(gate.asks)}"


def users(analysis: Analysis) -> str:
    """Return how many users were exposed, control / candidate, in each cohort."""
    seen = {
        _cohort(finding): (finding.control_users, finding.candidate_users)
        for finding in analysis.findings
    }
    return ", ".join(f"{cohort} {_both(*counts)}" for cohort, counts in seen.items())


def short(value: float | None) -> str:
    """Return a number in a few digits, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else f"{value:+}"


def _may(gate: Gate) -> str:
    match gate.verdict:
        case Verdict.PASS:
            return "may be left"
        case Verdict.FAIL:
            return "holds, harm is proven"
        case Verdict.INCONCLUSIVE:
            return "holds"


def _slowest(gate: Gate) -> Iterator[str]:
    """Yield what takes longest, if it can be said."""
    open_ones = [finding for finding in gate.findings if finding.needs]
    slowest = max(open_ones, key=_missing, default=None)
    if slowest is not None:
        yield (
            f"{name_of(slowest)} takes longest: some {slowest.needs:,} more exposures "
            "of the candidate, if both variants are alike"
        )


def _missing(finding: GateFinding) -> int:
    return finding.needs or 0


def _reasons(gate: Gate) -> Iterator[str]:
    """Yield why findings never pass, with the names of those to which it applies."""
    whose: dict[str, list[str]] = {}
    for finding in gate.findings:
        if finding.needs is None and finding.verdict is Verdict.INCONCLUSIVE:
            whose.setdefault(finding.note, []).append(name_of(finding))
    for note, (first, *others) in whose.items():
        more = f" and {len(others)} more" if others else ""
        yield f"{first}{more}: {note or 'no number of exposures will do'}"


def _aligned(name: str, texts: Sequence[str]) -> Sequence[str]:
    width = max(map(len, (name, *texts)))
    align = str.ljust if name in _TEXT_COLUMNS else str.rjust
    return [align(text, width) for text in (name, *texts)]


def _row(finding: Finding, gate: GateFinding | None, *, blamed: bool) -> Sequence[str]:
    effect = finding.relative_effect
    verdict = f"{Verdict.FAIL} (blamed)" if blamed else finding.verdict
    note = f": {finding.note}" if finding.note else ""
    return (
        _measured(finding),
        _cohort(finding),
        _observed(finding),
        short(finding.control_value),
        short(finding.candidate_value),
        "-" if effect is None else f"{effect:+.1%}",
        _interval(finding.interval),
        f"{finding.log_e:.2f}",
        "-" if gate is None else _needs(gate, finding),
        f"{verdict}{note}",
    )


def _test_of(finding: AnyFinding) -> tuple[int, Cohort, Measure]:
    return finding.place, finding.cohort, finding.measure


def _needs(gate: GateFinding, finding: Finding) -> str:
    if gate.verdict in _GATE:
        return _GATE[gate.verdict]
    if gate.needs is not None:
        return f"{gate.needs:,} more"
    waits = _WAITS.search(f"{gate.note}; {finding.note}")
    return "not yet" if waits else "never"


def _observed(finding: Finding) -> str:
    both = _both(finding.control_n, finding.candidate_n)
    return f"{both}, {finding.pairs:,} pairs" if finding.pairs else both


def _both(control: int, candidate: int) -> str:
    return f"{control:,} / {candidate:,}"


def _measured(finding: AnyFinding) -> str:
    return f"{finding.metric}{_MEASURES[finding.measure]}"


def _cohort(finding: AnyFinding) -> str:
    return "(everybody)" if finding.cohort == EVERYBODY else finding.cohort


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{_brief(interval.low)} .. {_brief(interval.high)}"


def _brief(value: float) -> str:
    return f"{value:+.3g}"


def _share(value: float) -> str:
    return f"{value:+.1%}" if math.isfinite(value) else f"{value:+}"
