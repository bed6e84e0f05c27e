"""Findings in words and as plain data, for terminals, ledgers and reports."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from flipback.analysis._analyze import Analysis
from flipback.analysis._renewal import SINCE
from flipback.assignment import EVERYBODY, Cohort
from flipback.signals import Measure
from flipback.verdict import (
    Arms,
    Finding,
    Gate,
    GateFinding,
    HypothesisFinding,
    Interval,
    Verdict,
)


_MEASURES = {
    Measure.VALUE: "",
    Measure.LOG: " (geometric mean)",
    Measure.TAIL: " (share above control's 95th percentile)",
    Measure.CAPPED: " (cut off at control's 99.5th percentile)",
}


def describe(finding: Finding) -> str:
    """Return one finding in one sentence: metric, cohort, size and certainty."""
    effect = finding.relative_effect
    change = "" if effect is None else f" ({effect:+.1%})"
    since = f" {SINCE}" if finding.note == SINCE else ""
    return (
        f"{finding.metric}{_MEASURES[finding.measure]} "
        f"{_spelled(finding.candidate_value)} against "
        f"{_spelled(finding.control_value)} of control{change} "
        f"for {_whom(finding.cohort)}, "
        f"from {_numbers(finding)}{since}, log E {finding.log_e:.2f}"
    )


def explain(finding: Finding | GateFinding | HypothesisFinding) -> str:
    """Return one finding in several lines: the verdict, and all that it rests on."""
    head, *rest = _lines(finding)
    return "\n".join([head, *(f"  {line}" for line in rest)])


def _lines(finding: Finding | GateFinding | HypothesisFinding) -> list[str]:
    match finding:
        case Finding():
            return [*_of_finding(finding), *_seen(finding), *_of_evidence(finding)]
        case GateFinding():
            return [*_of_gate(finding), *_seen(finding)]
        case HypothesisFinding():
            return [*_of_hypothesis(finding), *_seen(finding)]


def as_json(
    what: Finding | GateFinding | HypothesisFinding | Gate | Analysis,
) -> Mapping[str, object]:
    """Return plain data for JSON; what is infinite or no number becomes null."""
    match what:
        case Finding():
            return {**_promise(what), **_log_es(what), **_arms(what)}
        case GateFinding():
            return {
                **_promise(what),
                "log_e": _number(what.log_e),
                "log_threshold": _number(what.log_threshold),
                "needs": what.needs,
                **_arms(what),
            }
        case HypothesisFinding():
            return {
                "metric": what.metric,
                "hoped": what.hoped,
                "verdict": what.verdict.value,
                "relative_interval": _ends(what.relative),
                "required": what.required,
                "note": what.note,
                **_arms(what),
            }
        case Gate():
            return _gate(what)
        case Analysis():
            return _analysis(what)


def _of_finding(finding: Finding) -> Iterator[str]:
    yield f"{_title(finding)}: {_VERDICTS[finding.verdict]}"
    if finding.margin is not None:
        yield f"tolerance     {finding.margin:.3g} of control, relative"
    if finding.limit is not None:
        yield _limit(finding.limit)
    if finding.note:
        yield f"note          {finding.note}"


def _of_gate(finding: GateFinding) -> Iterator[str]:
    yield f"{_title(finding)}: {_GATE_VERDICTS[finding.verdict]}"
    if finding.margin is not None:
        yield f"to rule out   {finding.margin:.1%} of harm, relative"
    if finding.limit is not None:
        yield _limit(finding.limit)
    yield (
        f"evidence      log E {finding.log_e:.2f} of {finding.log_threshold:.2f} "
        "against harm beyond it"
    )
    if finding.verdict is not Verdict.PASS:
        yield f"needs         {_needs(finding)}"
    if finding.note:
        yield f"note          {finding.note}"


def _of_hypothesis(finding: HypothesisFinding) -> Iterator[str]:
    rises = "rises" if finding.hoped > 0 else "falls"
    yield f"{finding.metric} {rises} by {abs(finding.hoped):.1%}: {finding.verdict}"
    if finding.relative is not None:
        low, high = finding.relative.low, finding.relative.high
        yield f"relative      {_signed(low)} to {_signed(high)}, confidence sequence"
    if finding.required:
        yield "required      promotion waits until it is shown"
    if finding.note:
        yield f"note          {finding.note}"


def _seen(arms: Arms) -> Iterator[str]:
    yield (
        f"control       {_spelled(arms.control_value)} from {arms.control_n:,} "
        f"observations, {arms.control_users:,} users"
    )
    yield (
        f"candidate     {_spelled(arms.candidate_value)} from {arms.candidate_n:,} "
        f"observations, {arms.candidate_users:,} users"
    )
    if arms.pairs:
        yield f"pairs         {arms.pairs:,} calls that both answered"
    yield f"difference    {_bounded(arms.interval)}"
    epochs = ", ".join(arms.epochs) or "none"
    yield f"epochs        {epochs} ({arms.strata} strata)"
    yield f"design effect {arms.deff:.2f}, by which clustered subjects count less"


def _of_evidence(finding: Finding) -> Iterator[str]:
    peak = f", at most {finding.peak_log_e:.2f} so far"
    yield (
        f"evidence      log E {finding.log_e:.2f}{peak}; {finding.engine}, with "
        f"{finding.weight:.1%} of alpha"
    )
    if finding.outlook:
        yield f"would change  {finding.outlook}"


_VERDICTS = {
    Verdict.PASS: "no harm",
    Verdict.FAIL: "harm is proven",
    Verdict.INCONCLUSIVE: "harm is not proven",
}
_GATE_VERDICTS = {
    Verdict.PASS: "harm beyond the margin is ruled out",
    Verdict.FAIL: "harm beyond the margin is proven",
    Verdict.INCONCLUSIVE: "harm beyond the margin is not ruled out yet",
}


def _numbers(arms: Arms) -> str:
    """Return what is compared: of shadow answers alone there are only pairs."""
    alone = f"{arms.candidate_n} candidate and {arms.control_n} control observations"
    if not arms.pairs:
        return alone
    pairs = f"{arms.pairs} pairs"
    return f"{pairs} and {alone}" if arms.candidate_n or arms.control_n else pairs


def _limit(limit: float) -> str:
    return f"limit         {limit:.4g}, for the candidate alone"


def _title(finding: Finding | GateFinding) -> str:
    return f"{finding.metric}{_MEASURES[finding.measure]}, {_whom(finding.cohort)}"


def _whom(cohort: Cohort) -> str:
    return f"cohort {cohort}" if cohort != EVERYBODY else "everybody"


def _needs(finding: GateFinding) -> str:
    if finding.needs is None:
        return "no number of exposures will do"
    return f"{finding.needs:,} more candidate exposures if the arms are alike"


def _bounded(interval: Interval | None) -> str:
    if interval is None:
        return "cannot be bounded yet"
    return f"{interval.low:+.4g} to {interval.high:+.4g}, confidence sequence"


def _signed(value: float) -> str:
    return f"{value:+.1%}" if isfinite(value) else "unbounded"


def _spelled(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _promise(finding: Finding | GateFinding) -> Mapping[str, object]:
    return {
        "guardrail": finding.place,
        "metric": finding.metric,
        "measure": finding.measure.value,
        "cohort": finding.cohort,
        "verdict": finding.verdict.value,
        "margin": _number(finding.margin),
        "limit": _number(finding.limit),
        "note": finding.note,
    }


def _log_es(finding: Finding) -> Mapping[str, object]:
    return {
        "log_e": _number(finding.log_e),
        "peak_log_e": _number(finding.peak_log_e),
        "log_threshold": _number(finding.log_threshold),
        "weight": finding.weight,
        "engine": str(finding.engine),
        "outlook": finding.outlook,
    }


def _arms(arms: Arms) -> Mapping[str, object]:
    return {
        "control": {
            "n": arms.control_n,
            "users": arms.control_users,
            "value": _number(arms.control_value),
        },
        "candidate": {
            "n": arms.candidate_n,
            "users": arms.candidate_users,
            "value": _number(arms.candidate_value),
        },
        "pairs": arms.pairs,
        "relative_effect": _number(arms.relative_effect),
        "interval": _ends(arms.interval),
        "deff": _number(arms.deff),
        "strata": arms.strata,
        "epochs": list(arms.epochs),
    }


def _gate(gate: Gate) -> Mapping[str, object]:
    return {
        "weight": _number(gate.weight),
        "next_weight": _number(gate.next_weight),
        "verdict": gate.verdict.value,
        "waits": list(gate.waits),
        "asks": list(gate.asks),
        "findings": [as_json(finding) for finding in gate.findings],
    }


def _analysis(analysis: Analysis) -> Mapping[str, object]:
    hypothesis = analysis.hypothesis
    return {
        "verdict": analysis.verdict.value,
        "action": analysis.action.value,
        "cohorts": list(analysis.cohorts),
        "log_g": _number(analysis.log_g),
        "log_threshold": _number(analysis.log_threshold),
        "frozen": list(analysis.frozen),
        "faults": list(analysis.faults),
        "broken": _named(analysis.broken),
        "suspect": None if analysis.suspect is None else _name(analysis.suspect),
        "paused": _named(analysis.paused),
        "warned": _named(analysis.warned),
        "hypothesis": None if hypothesis is None else as_json(hypothesis),
        "excluded": dict(analysis.excluded),
        "findings": [as_json(finding) for finding in analysis.findings],
    }


def _named(findings: Sequence[Finding]) -> list[Mapping[str, object]]:
    return [_name(finding) for finding in findings]


def _name(finding: Finding) -> Mapping[str, object]:
    return {
        "metric": finding.metric,
        "measure": finding.measure.value,
        "cohort": finding.cohort,
    }


def _ends(interval: Interval | None) -> Mapping[str, object] | None:
    if interval is None:
        return None
    return {"low": _number(interval.low), "high": _number(interval.high)}


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
