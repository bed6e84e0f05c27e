"""What a plan takes, for people."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, isfinite

from flipback.assignment import EVERYBODY
from flipback.cli._page import fact
from flipback.cli._shell import plain
from flipback.plan import MetricKind, RolloutPlan, Stage, lasting
from flipback.power import (
    NEVER_DAYS,
    Baseline,
    Power,
    Prospect,
    Remedy,
    StagePower,
    Traffic,
    baseline_of,
    baselines_wanted,
    stages_of,
)
from flipback.signals import Measure


_COLUMNS = (
    "metric",
    "cohort",
    "rules out",
    "passes after",
    "harm",
    "caught after",
    "least harm",
)
_LEFT = 2
_MEASURES = {
    Measure.VALUE: "",
    Measure.LOG: " (body)",
    Measure.TAIL: " (tail)",
    Measure.CAPPED: "",
}
_HOURS = 48
_LARGEST = 10.0
_MOST_WARNINGS = 12


def power_text(plan: RolloutPlan, traffic: Traffic, found: Power) -> str:
    """Return what a plan takes: a few lines, and a table per stage."""
    stages = (
        "\n".join([_stage_line(number, row), *_table(row)])
        for number, row in enumerate(found.stages, start=1)
    )
    calls = _count(traffic.calls_per_day)
    head = [
        f"{plan.route}: {plan.candidate} against {plan.control}, {calls} calls a day",
        *(fact(name, text) for name, text in _facts(plan, traffic, found)),
    ]
    blocks = ["\n".join(head), *stages, "\n".join(_LEGEND)]
    return "\n\n".join("\n".join(map(plain, block.split("\n"))) for block in blocks)


_LEGEND = (
    "rules out     the harm that the gate asks to be excluded, relative to control",
    "passes after  time in the stage until it is, if both arms are alike (even chance)",
    "harm          the smallest harm that the plan wants caught, tolerance included",
    "caught after  time until harm of that size, there from the first day, is proven",
    "least harm    the smallest harm that is caught in the stage's window, else 7 days",
)


def _facts(
    plan: RolloutPlan, traffic: Traffic, found: Power
) -> Iterator[tuple[str, str]]:
    warnings = [*(sentence(plan, each) for each in found.remedies)]
    warnings += map(blind_sentence, found.blind)
    yield from (("WARNING", text) for text in warnings[:_MOST_WARNINGS])
    if (more := len(warnings) - _MOST_WARNINGS) > 0:
        yield "WARNING", f"and {more} more of that kind; --json has them all"
    lasts = found.lasts_days
    yield (
        "takes",
        (
            f"{_time(lasts)} until the last stage is left"
            if isfinite(lasts)
            else "for ever: see the warnings"
        ),
    )
    subjects = traffic.calls_per_day / max(1.0, traffic.calls_per_subject_per_day)
    yield "subjects", f"{_count(subjects)} a day, each day taken to bring others"
    yield from (
        ("baseline", _baseline(plan, traffic, metric))
        for metric in dict.fromkeys(baselines_wanted(plan))
    )
    yield from _cohorts(plan, traffic, found.shares)
    if any(row.stage.weight == 100 for row in found.stages):  # noqa: PLR2004 - percent
        yield "note", "at weight 100 no control is left to compare the candidate with"


def _baseline(plan: RolloutPlan, traffic: Traffic, metric: str) -> str:
    known = baseline_of(plan, traffic, metric)
    said = "" if metric in traffic.baselines else ", by default"
    if known is None:
        return f"{metric} unknown"
    return f"{metric} {_described(plan.kind_of(metric), known)}{said}"


def _described(kind: MetricKind, known: Baseline) -> str:
    match kind:
        case MetricKind.EVENT:
            return f"in {known.mean:.4g} of subjects"
        case MetricKind.LATENCY:
            return f"with deviation {known.deviation or 0:.4g} of its logarithm"
        case MetricKind.MEAN | MetricKind.HEAVY_TAIL:
            spread = known.deviation
            scatter = "" if spread is None else f", deviation {spread:.4g}"
            return f"{known.mean:.4g} on average{scatter}"


def _cohorts(
    plan: RolloutPlan, traffic: Traffic, shares: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    for attribute, values in plan.cohorts.items():
        cohorts = [f"{attribute}={value}" for value in values]
        guessed = [cohort for cohort in cohorts if cohort not in traffic.shares]
        shown = ", ".join(f"{c} {_percent(shares[c])}" for c in cohorts)
        guess = (
            f"; taken to be equal, else say `--cohort {(guessed or cohorts)[0]}=SHARE`"
        )
        all_given = len(guessed) < min(2, len(cohorts))
        yield "cohorts", shown if all_given else f"{shown}{guess}"


def _stage_line(number: int, row: StagePower) -> str:
    lasts = f"lasts {_time(row.lasts_days)}" if row.lasts_days else "left at once"
    if not isfinite(row.lasts_days):
        lasts = "NEVER ENDS: see the warnings"
    window = row.stage.window
    least = f", window {lasting(window)}" if window else ""
    what = _weight(row.stage)
    opens = (
        "the end" if row.stage.weight == row.next_weight else f"{row.next_weight:g} %"
    )
    return f"stage {number}: {what}{least}, then {opens}: {lasts}"


def _weight(stage: Stage) -> str:
    if stage.weight is None:
        return f"shadow of {_percent(stage.shadow or 0.0)}"
    return f"{stage.weight:g} %"


def _table(row: StagePower) -> Sequence[str]:
    rows = [_COLUMNS, *map(_row, row.tests)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + _line(cells, widths) for cells in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    return "  ".join(
        text.ljust(width) if place < _LEFT else text.rjust(width)
        for place, (text, width) in enumerate(cells)
    ).rstrip()


def _row(test: Prospect) -> Sequence[str]:
    margin = "the limit" if test.margin is None else _percent(test.margin)
    return (
        f"{test.metric}{_MEASURES[test.measure]}",
        _cohort(test.cohort),
        margin if test.blocks else "-",
        _time(test.passes_days) if test.blocks else "-",
        _percent(test.harm),
        _time(test.catches_days),
        _percent(test.least_harm) if test.least_harm <= _LARGEST else "none",
    )


def sentence(plan: RolloutPlan, remedy: Remedy) -> str:
    """Return what can never be decided, and what would help."""
    what = f"{remedy.metric}{_MEASURES[remedy.measure]}"
    where = "" if remedy.cohort == EVERYBODY else f" in {remedy.cohort}"
    weight = _weight(stages_of(plan)[remedy.place])
    says = (
        f"stage {remedy.place + 1} ({weight}) never ends: {what}{where} cannot be "
        f"decided within {NEVER_DAYS} days"
    )
    helps = list(_helps(remedy))
    why = f" ({fault})" if (fault := remedy.fault or _unpaired(plan, remedy)) else ""
    if not helps:
        return f"{says}{why}; no share, pairs or tolerance would help"
    return f"{says}{why}; what would help: {'; '.join(helps)}"


def _unpaired(plan: RolloutPlan, remedy: Remedy) -> str:
    """Return why a shadow stage says nothing of a metric, or nothing."""
    shadow = plan.stages[remedy.place].shadow is not None
    made = plan.metric(remedy.metric).components
    return "pairs say nothing of ratios and sums" if shadow and made else ""


def blind_sentence(test: Prospect) -> str:
    """Return what harm nobody would see, and what would be seen."""
    where = "" if test.cohort == EVERYBODY else f" in {test.cohort}"
    what = f"{test.metric}{_MEASURES[test.measure]}{where}"
    seen = (
        f"the smallest harm that is, in a stage's window or 7 days: "
        f"{_percent(test.least_harm)}"
        if test.least_harm <= _LARGEST
        else "nor is any larger one"
    )
    return (
        f"harm of {_percent(test.harm)} to {what} is caught in no stage within "
        f"{NEVER_DAYS} days; {seen}"
    )


def _helps(remedy: Remedy) -> Iterator[str]:
    if remedy.scaled_days is not None and remedy.scaled_days <= NEVER_DAYS:
        yield f'gate = "scaled" ({_time(remedy.scaled_days)})'
    if not remedy.fault and remedy.half_days <= NEVER_DAYS:
        where = "there" if remedy.cohort == EVERYBODY else "in that cohort"
        days = _time(remedy.half_days)
        yield f"half of the subjects on the candidate {where} ({days})"
    if not remedy.fault and remedy.pairs and remedy.pairs_days <= NEVER_DAYS:
        pairs = _count(remedy.pairs)
        yield f"{pairs} shadow pairs ({_time(remedy.pairs_days)} of all its calls)"
    if remedy.tolerance is not None:
        yield f"tolerance = {remedy.tolerance:g}"


def _cohort(cohort: str) -> str:
    return "(everybody)" if cohort == EVERYBODY else cohort


def _time(days: float) -> str:
    if days > NEVER_DAYS:
        return "never"
    if days == 0:
        return "at once"
    hours = days * 24
    if hours < 1:
        return f"{ceil(hours * 60)} min"
    return f"{ceil(hours)} h" if hours <= _HOURS else f"{days:.1f} days"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _count(number: float) -> str:
    return f"{ceil(number):,}"
