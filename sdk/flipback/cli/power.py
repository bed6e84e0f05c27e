"""`flipback power`: how long a plan takes on some traffic, and what it catches."""

from argparse import ArgumentParser, ArgumentTypeError
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from math import isfinite

from flipback.cli._arguments import Command, Options
from flipback.cli._exit import ExitCode
from flipback.cli._plan_file import plan_in
from flipback.cli._power_json import power_json
from flipback.cli._power_text import power_text
from flipback.cli._shell import Shell, say_json, warn
from flipback.errors import Mistake
from flipback.plan import MetricKind, RolloutPlan, nearest
from flipback.power import Baseline, Power, Traffic, baselines_wanted, power


_ROUNDING = 1e-9
_LARGEST = 1e100
_SHAPES = {
    MetricKind.EVENT: ("0.02", "the share of subjects that have one"),
    MetricKind.MEAN: ("0.8", "a share, or mean:deviation of what is not 0 or 1"),
    MetricKind.HEAVY_TAIL: ("12:30", "mean:deviation, the largest values cut off"),
    MetricKind.LATENCY: ("0.8:1", "the mean, and the deviation of its logarithm"),
}


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="path of the plan file")
    parser.add_argument(
        "--calls-per-day",
        metavar="N",
        type=_positive,
        required=True,
        help="calls of the route in a day, of all subjects together",
    )
    parser.add_argument(
        "--calls-per-subject",
        metavar="X",
        type=_positive,
        default=1.0,
        help="calls of one subject in a day; default: 1",
    )
    parser.add_argument(
        "--baseline",
        dest="baselines",
        metavar="METRIC=VALUE[:DEVIATION]",
        type=_baseline,
        action="append",
        default=[],
        help="what a metric is under control; may be repeated",
    )
    parser.add_argument(
        "--cohort",
        dest="shares",
        metavar="ATTRIBUTE=VALUE=SHARE",
        type=_share,
        action="append",
        default=[],
        help="share of the calls that are a cohort's; may be repeated",
    )


def _run(options: Options, shell: Shell) -> ExitCode:
    plan = plan_in(str(shell.cwd / options.plan), as_json=options.json)
    if isinstance(plan, ExitCode):
        return plan
    traffic = Traffic(
        calls_per_day=options.calls_per_day,
        calls_per_subject_per_day=options.calls_per_subject,
        baselines=dict(options.baselines),
        shares=dict(options.shares),
    )
    mistakes = list(_mistakes(plan, options))
    if mistakes:
        return _refuse(mistakes, as_json=options.json)
    found = power(plan, traffic)
    if missing := list(_missing(plan, options.plan, found)):
        return _refuse(missing, as_json=options.json)
    if options.json:
        say_json(power_json(plan, found))
    else:
        print(power_text(plan, traffic, found))
    return ExitCode.OK


POWER = Command(
    name="power",
    help="say how long a plan takes on some traffic, and which harm it catches",
    declare=_declare,
    run=_run,
)


def _refuse(mistakes: list[Mistake], *, as_json: bool) -> ExitCode:
    for mistake in mistakes:
        warn(str(mistake))
    if as_json:
        code = int(ExitCode.USAGE)
        say_json({"exit": code, "mistakes": list(map(asdict, mistakes))})
    return ExitCode.USAGE


def _mistakes(plan: RolloutPlan, options: Options) -> Iterator[Mistake]:
    """Yield what is named in the arguments and not in the plan, or cannot be."""
    metrics = sorted({*baselines_wanted(plan), *plan.judged, *plan.recorded})
    for metric, known in options.baselines:
        if metric not in metrics:
            yield _unknown("--baseline", metric, "metric", metrics)
        elif plan.kind_of(metric) is MetricKind.EVENT and not 0 < known.mean < 1:
            yield _mistake(
                f"--baseline {metric}",
                f"{known.mean:g} is no share of subjects, and it is an event",
                "write a number between 0 and 1, such as 0.02 for 2 percent",
            )
        elif plan.kind_of(metric) is MetricKind.EVENT and known.deviation is not None:
            yield _mistake(
                f"--baseline {metric}",
                "an event has no deviation",
                f"write {metric}={known.mean:g}",
            )
    for cohort, _ in options.shares:
        if cohort not in plan.declared_cohorts:
            yield _unknown("--cohort", cohort, "cohort", plan.declared_cohorts)
    yield from _too_much(options)


def _too_much(options: Options) -> Iterator[Mistake]:
    """Yield each attribute of which more than all calls are spoken for."""
    totals = defaultdict[str, float](float)
    for cohort, share in dict(options.shares).items():
        totals[cohort.partition("=")[0]] += share
    for attribute, total in totals.items():
        if total > 1 + _ROUNDING:
            yield _mistake(
                "--cohort",
                f"the shares of {attribute} add up to {total:g}",
                "write shares of all calls, which add up to 1 at most",
            )


def _mistake(argument: str, problem: str, remedy: str) -> Mistake:
    return Mistake(
        file="flipback power", table="", key=argument, problem=problem, remedy=remedy
    )


def _unknown(option: str, name: str, what: str, known: Iterable[str]) -> Mistake:
    names = list(known)
    has = f"the plan has: {', '.join(names)}" if names else f"it declares no {what}"
    remedy = nearest(name, names, otherwise=has)
    return _mistake(f"{option} {name}", f"the plan has no {what} {name!r}", remedy)


def _missing(plan: RolloutPlan, file: str, found: Power) -> Iterator[Mistake]:
    """Yield each guarded metric of which too little is known."""
    for number, guardrail in enumerate(plan.guardrails, start=1):
        if guardrail.metric in found.unknown:
            value, meaning = _SHAPES[plan.kind_of(guardrail.metric)]
            denominator = plan.metric(guardrail.metric).denominator
            wanted = f"`--baseline {guardrail.metric}={value}` ({meaning})"
            if denominator is not None:
                wanted += f" and `--baseline {denominator}=0.05` (its mean per call)"
            yield Mistake(
                file=file,
                table=f"guardrails[{number}]",
                key="metric",
                problem=f"nothing is known of `{guardrail.metric}` under control",
                remedy=f"add {wanted}",
            )


def _positive(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise ArgumentTypeError(f"{text!r} is not above 0")
    return number


def _baseline(text: str) -> tuple[str, Baseline]:
    metric, sign, value = text.rpartition("=")
    mean, colon, deviation = value.partition(":")
    if not sign or not metric:
        raise ArgumentTypeError(f"{text!r} has no `=`; write it as `error=0.02`")
    spread = _number(deviation) if colon else None
    if spread is not None and spread < 0:
        raise ArgumentTypeError(f"{text!r}: a deviation is not below 0")
    return metric, Baseline(mean=_number(mean), deviation=spread)


def _share(text: str) -> tuple[str, float]:
    cohort, _, share = text.rpartition("=")
    if "=" not in cohort:
        raise ArgumentTypeError(
            f"{text!r} is no cohort with its share; write it as `plan=free=0.9`"
        )
    number = _number(share)
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text!r}: {share} is no share; 0.03 is 3 percent")
    return cohort, number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number") from error
    if not isfinite(number):
        raise ArgumentTypeError(f"{text!r} is no finite number")
    if abs(number) > _LARGEST:
        raise ArgumentTypeError(f"{text!r} is too large to be weighed")
    return number
