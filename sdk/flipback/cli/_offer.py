"""What a flag offers, in the words of the plan."""

from collections.abc import Mapping

from flipback.config import variant_named_by
from flipback.plan import RolloutPlan
from flipback.ports import SCALE, FlagState


def offer(plan: RolloutPlan, flag: FlagState) -> str:
    """Return what the flag service offers, in one line."""
    if not flag.enabled:
        return f"{plan.control} to everybody: the flag is off"
    if not flag.split:
        return f"{_named(plan, flag, flag.default_variant)} to everybody, no split"
    return ", ".join(
        f"{_named(plan, flag, name)} {_percent(weight)}"
        for name, weight in flag.split.items()
    )


def candidate_percent(plan: RolloutPlan, flag: FlagState) -> str:
    """Return the share of subjects offered the candidate, empty where none is."""
    default = {} if flag.default_variant is None else {flag.default_variant: SCALE}
    weights = flag.split or default
    offered = sum(
        weight
        for name, weight in weights.items()
        if variant_named_by(plan, flag.variants.get(name)) == plan.candidate
    )
    return _percent(offered) if flag.enabled and offered else ""


def _named(plan: RolloutPlan, flag: FlagState, name: str | None) -> str:
    """Return the plan's name of a flag's variant, with the flag's own if it differs."""
    if name is None:
        return f"{plan.control} (the default)"
    meant = variant_named_by(plan, flag.variants.get(name))
    return name if meant in {None, name} else f"{meant} ({name})"


def shares(split: Mapping[str, int]) -> str:
    """Return a split in the flag's own names."""
    return ", ".join(f"{name} {_percent(weight)}" for name, weight in split.items())


def percent_of(percent: float) -> str:
    """Return a percentage for people."""
    return f"{percent:g} %"


def _percent(weight: int) -> str:
    return percent_of(100 * weight / SCALE)
