"""Numbers as people read them, each with its unit."""

from enum import StrEnum
from math import floor, isfinite, log10

from flipback.course import CourseFinding
from flipback.plan import MetricKind, RolloutPlan
from flipback.signals import Measure


MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
_SIGNIFICANT = 3
_MOST_DECIMALS = 9
_LARGE = 1e9
_PERCENT = 100.0
_UNBOUNDED = "\N{INFINITY}"


class Unit(StrEnum):
    """What a metric is counted in; MERE is a number without a unit.

    POINTS are differences of shares, in percentage points.
    """

    SHARE = "%"
    POINTS = "pp"
    SECONDS = "s"
    DOLLARS = "$"
    MERE = ""


def unit_of(plan: RolloutPlan, metric: str, measure: Measure) -> Unit:
    """Return the unit of a measure of a metric: by its kind, else by its name."""
    if measure is Measure.TAIL or plan.kind_of(metric) is MetricKind.EVENT:
        return Unit.SHARE
    if metric.endswith("_s"):
        return Unit.SECONDS
    return Unit.DOLLARS if metric.endswith("_usd") else Unit.MERE


def difference_unit(unit: Unit) -> Unit:
    """Return the unit of a difference."""
    return Unit.POINTS if unit is Unit.SHARE else unit


def number(value: float, *, decimals: int | None = None) -> str:
    """Return a number in three significant digits, or with so many decimals."""
    if not isfinite(value):
        return _UNBOUNDED if value > 0 else f"{MINUS}{_UNBOUNDED}"
    places = _decimals(value) if decimals is None else decimals
    if abs(value) >= _LARGE:
        return f"{value:.2e}".replace("-", MINUS)
    text = f"{value:,.{places}f}"
    if not float(text.replace(",", "")):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def short(value: float) -> str:
    """Return a number that people wrote, as they wrote it: `25`, not `25.0`."""
    return f"{value:,.6g}".replace("-", MINUS)


def written(value: float, unit: Unit) -> str:
    """Return a number that people wrote, with its unit."""
    match unit:
        case Unit.SHARE | Unit.POINTS:
            return f"{short(value * _PERCENT)} {unit.value}"
        case Unit.DOLLARS:
            return f"${short(value)}"
        case Unit.SECONDS:
            return f"{short(value)} s"
        case Unit.MERE:
            return short(value)


def log_number(value: float) -> str:
    """Return a logarithm of evidence, in two decimals."""
    return number(value, decimals=2) if isfinite(value) else "never"


def amount(value: float | None, unit: Unit, *, step: float | None = None) -> str:
    """Return a value with its unit, a dash for none.

    Args:
        value: The value.
        unit: What it is counted in.
        step: What it is to be told apart from; else it has three significant digits.
    """
    if value is None:
        return NONE
    scale = _PERCENT if unit in {Unit.SHARE, Unit.POINTS} else 1.0
    text = number(
        value * scale, decimals=None if step is None else _places(step, scale)
    )
    match unit:
        case Unit.DOLLARS:
            return f"${text}"
        case Unit.MERE:
            return text
        case Unit.SHARE | Unit.POINTS | Unit.SECONDS:
            return f"{text} {unit.value}"


def range_text(low: float, high: float, unit: Unit) -> str:
    """Return two ends, in as many digits as their distance is worth."""
    width = high - low
    step = width / _PERCENT if isfinite(width) and width > 0 else None
    if step is None and isfinite(low + high):
        return f"{amount(low, unit)} to {amount(high, unit)}"
    sign, scale = f" {unit.value}", _PERCENT
    if unit in {Unit.MERE, Unit.DOLLARS, Unit.SECONDS}:
        sign, scale = (f" {unit.value}" if unit is not Unit.MERE else ""), 1.0
    places = None if step is None else _places(step, scale)
    ends = (number(end * scale, decimals=places) for end in (low, high))
    return f"{' to '.join(ends)}{sign}"


def change(before: float | None, after: float | None) -> float | None:
    """Return a relative change, None where there is none to speak of."""
    if before is None or after is None or not before:
        return None
    return (after - before) / abs(before)


def percent(value: float, *, signed: bool = False) -> str:
    """Return a relative number in percent: `5 %`, `7.6 %`, `36 %`."""
    scaled = value * _PERCENT
    whole = abs(scaled) >= 10 or abs(scaled - round(scaled)) < 1e-9  # noqa: PLR2004 - two digits
    text = f"{number(scaled, decimals=0 if whole else 1)} %"
    return f"+{text}" if signed and value > 0 else text


def change_in(finding: CourseFinding) -> str:
    """Return the relative change of a finding, a dash where there is none."""
    moved = change(finding.control_value, finding.candidate_value)
    return NONE if moved is None else percent(moved, signed=True)


def count(value: float, noun: str) -> str:
    """Return how many, in words that agree."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def _places(step: float, scale: float) -> int:
    """Return the decimals that tell apart what is a step away."""
    return min(_MOST_DECIMALS, max(0, -floor(log10(step * scale) + 1e-9)))


def _decimals(value: float) -> int:
    if not value:
        return 0
    return min(
        _MOST_DECIMALS, max(0, _SIGNIFICANT - 1 - floor(log10(abs(value)) + 1e-12))
    )
