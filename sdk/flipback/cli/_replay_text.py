"""What a replay found, for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from math import isfinite

from flipback.analysis import describe, explain
from flipback.assignment import EVERYBODY, Cohort
from flipback.booking import LATE, NOT_POSITIVE
from flipback.cli._findings import evidence_table, gate_lines, hope
from flipback.cli._page import columns, fact
from flipback.cli._shell import plain
from flipback.replay import (
    MEANING,
    Ended,
    Harm,
    Outcome,
    Pointed,
    Remark,
    Repeated,
    Replay,
    Replayed,
    Rows,
    Trouble,
    foretold,
    hint,
)


Fact = tuple[str, str]

_PERCENT = 100.0
_LEFT_OUT = {
    LATE: "values that came later than `matures_after` allows",
    NOT_POSITIVE: "latencies that are not above 0, of which there is no logarithm",
}


def replayed_text(replay: Replay, name: str, found: Replayed) -> str:
    """Return what became of the rollout, why, and all that it rests on."""
    ended, rows = found.ended, found.rows
    facts = chain(
        _because(ended),
        _served(replay, ended),
        _harm(replay, ended),
        _until(ended),
        _waits(ended),
        _hope(ended),
        _log(replay, rows, stopped=not rows.whole),
        _excluded(ended),
    )
    return _page(
        _headline(name, ended),
        facts,
        evidence_table(ended.analysis, ended.gate, width=columns()),
    )


def repeated_text(replay: Replay, name: str, found: Repeated) -> str:
    """Return how often the plan rolls back when the arms are exchanged at random."""
    share = found.rolled_back
    what = "roll backs" if replay.harm else "false roll backs"
    head = (
        f"{what}: {share.value:.1%} of {share.total} runs of {name} with exchanged "
        f"arms, 95 % interval {share.low:.1%} to {share.high:.1%}"
    )
    facts = chain(
        _judged(replay, found),
        _detected(replay, found),
        _causes(found),
        _log(replay, found.rows, stopped=False),
    )
    return _page(head, facts)


def _page(head: str, facts: Iterator[Fact], *tables: Sequence[str]) -> str:
    lines = [head]
    for name, text in facts:
        lines.extend(fact(name, text).split("\n"))
    for table in filter(None, tables):
        lines.extend(["", *(f"  {line}" for line in table)])
    return "\n".join(map(plain, lines))


def _headline(name: str, ended: Ended) -> str:
    where = f"line {ended.where.line:,} of {name}, {_time(ended.where.at)}"
    match ended.outcome:
        case Outcome.ROLL_BACK:
            whom = ", ".join(ended.analysis.cohorts)
            only = f" of {whom}" if whom else ""
            return f"roll back{only}: at {where}"
        case Outcome.PROMOTE:
            return f"promote: the gate passes at the end, {where}"
        case Outcome.HOLD:
            if ended.analysis.frozen:
                return f"hold: the data cannot be trusted at the end, {where}"
            return f"hold: no harm is proven until the end, {where}"


def _because(ended: Ended) -> Iterator[Fact]:
    decisive = ended.decisive
    if decisive is None:
        return
    if not ended.analysis.broken:
        total, needed = ended.analysis.log_g, ended.analysis.log_threshold
        yield (
            "because",
            f"all guardrails together prove harm, log E {total:.2f} of {needed:.2f}",
        )
        yield "likeliest", explain(decisive)
        return
    yield "because", explain(decisive)
    for finding in ended.analysis.broken[1:]:
        yield "and", describe(finding)


def _served(replay: Replay, ended: Ended) -> Iterator[Fact]:
    plan = replay.plan
    candidate, control = (
        ended.exposures(variant) for variant in (plan.candidate, plan.control)
    )
    cohorts = _cohorts_of(ended, replay.harm)
    inside = "".join(
        f", {ended.exposures(plan.candidate, cohort):,} of them in {cohort}"
        for cohort in cohorts
    )
    yield "served", f"{candidate:,} exposures of {plan.candidate}{inside}"
    yield "", f"{control:,} of {plan.control}"
    if ended.observed > candidate:
        pairs = ended.observed - candidate
        yield "", f"{pairs:,} more calls that both arms answered"


def _cohorts_of(ended: Ended, harm: Harm | None) -> Sequence[Cohort]:
    decisive = ended.decisive
    named = [decisive.cohort] if decisive is not None else []
    if harm is not None:
        named.append(harm.cohort)
    return [cohort for cohort in dict.fromkeys(named) if cohort != EVERYBODY]


def _harm(replay: Replay, ended: Ended) -> Iterator[Fact]:
    harm = replay.harm
    if harm is None:
        return
    caught = "caught" if ended.outcome is Outcome.ROLL_BACK else "NOT caught"
    yield "injected", f"{_spelled(harm)}, {caught}; {ended.worsened:,} values changed"
    yield "power", _foretold(foretold(replay.plan, ended, harm), harm)
    if not ended.worsened:
        yield (
            "warning",
            (
                "nothing was changed: the candidate has no such values there, or a "
                "rate of 0, which no percentage raises; write it as +0.02"
            ),
        )


def _foretold(exposures: float | None, harm: Harm) -> str:
    where = f" in {harm.cohort}" if harm.cohort else ""
    if exposures is None:
        return "cannot say: nothing guards against that alone, or too little was seen"
    if not isfinite(exposures):
        return f"such harm{where} is within the tolerance, or never caught"
    return f"foretells about {exposures:,.0f} candidate exposures{where}"


def _spelled(harm: Harm) -> str:
    size = f"{_PERCENT * harm.size:+.6g}%" if harm.relative else f"{harm.size:+g}"
    where = f" in {harm.cohort}" if harm.cohort else ""
    return f"{harm.metric} {size} for the candidate{where}"


def _until(ended: Ended) -> Iterator[Fact]:
    stage = ended.stage
    if stage.weight is None:
        yield "weight", "not known: no row says, and --weight does not either"
    else:
        yield "weight", f"{stage.weight:g} %, since {_time(stage.since)}"
    yield "looks", f"{ended.looks:,}"
    for what, where in (
        ("paused", ended.paused),
        ("distrusted", ended.distrusted),
    ):
        if where is not None:
            yield what, f"from {_place(where)} on"
    for finding in ended.analysis.paused:
        yield "pause", f"people must look: {describe(finding)}"
    for finding in ended.analysis.warned:
        yield "warning", describe(finding)
    for reason in ended.analysis.frozen:
        yield "FROZEN", reason
    for reason in ended.analysis.faults:
        yield "FAULT", reason


def _waits(ended: Ended) -> Iterator[Fact]:
    if ended.gate is not None:
        for line in gate_lines(ended.gate, ended.analysis):
            yield "gate", line


def _hope(ended: Ended) -> Iterator[Fact]:
    if ended.analysis.hypothesis is not None:
        yield "hypothesis", hope(ended.analysis.hypothesis)


def _log(replay: Replay, rows: Rows, *, stopped: bool) -> Iterator[Fact]:
    yield (
        "rows",
        (
            f"{rows.read:,} read: {rows.exposures:,} exposures and {rows.outcomes:,} "
            f"later outcomes used, {rows.excluded:,} left out"
        ),
    )
    if stopped:
        yield "", "the log was not read further, as everybody is given control then"
    for remark in rows.remarks:
        yield "log", _remark(replay, remark)
    for metric in rows.unseen:
        yield "warning", f"NO ROW HAS THE METRIC {metric!r}, which the plan guards"
    for cohort in rows.unmet:
        yield "warning", f"NO ROW IS IN THE COHORT {cohort}, which the plan declares"


def _excluded(ended: Ended) -> Iterator[Fact]:
    """Yield what was left out by the rules of a running application."""
    counts = ended.analysis.excluded
    for reason, said in _LEFT_OUT.items():
        if reason in counts:
            yield "left out", f"{counts[reason]:,} {said}"


def _remark(replay: Replay, remark: Remark) -> str:
    meaning = MEANING[remark.trouble]
    names = f" ({', '.join(remark.names)})" if remark.names else ""
    count = "once" if remark.count == 1 else f"{remark.count:,} times"
    left_out = "left out: " if meaning.excludes else ""
    said = (
        f"{left_out}{meaning.words}{names}, {count}, first at line {remark.line:,}; "
        f"{meaning.remedy}"
    )
    if remark.trouble in {Trouble.OTHER_VARIANT, Trouble.UNKNOWN_METRIC}:
        meant = hint(replay.plan, remark)
        return f"{said}; {meant}" if meant.startswith("did you") else said
    return said


def _judged(replay: Replay, found: Repeated) -> Iterator[Fact]:
    if replay.harm is not None:
        return
    alpha = replay.plan.alpha
    if found.rolled_back.low > alpha:
        yield (
            "verdict",
            f"the plan cries wolf on this log: it promises at most {alpha:.1%}",
        )
    elif found.rolled_back.high <= alpha:
        yield "verdict", f"no more than the {alpha:.1%} that the plan promises"
    else:
        yield (
            "verdict",
            (
                f"nothing speaks against the {alpha:.1%} that the plan promises; more "
                "runs narrow the interval"
            ),
        )


def _detected(replay: Replay, found: Repeated) -> Iterator[Fact]:
    harm = replay.harm
    if harm is None:
        return
    yield "injected", _spelled(harm)
    if found.median is None:
        yield "caught", "in less than half of the runs, so there is no median"
        return
    inside = ""
    if harm.cohort:
        inside = f", {found.median_of_cohort:,} of them in {harm.cohort}"
    yield "caught", f"after {found.median:,} candidate exposures (median){inside}"


def _causes(found: Repeated) -> Iterator[Fact]:
    for (metric, cohort), times in found.causes.items():
        where = cohort or "everybody"
        yield "blamed", f"{metric} for {where}: {times} of {found.rolled_back.hits}"
    if found.frozen:
        yield (
            "distrusted",
            f"the data of {found.frozen} runs could not be trusted at some look",
        )


def _place(where: Pointed) -> str:
    return f"line {where.line:,}, {_time(where.at)}"


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"
