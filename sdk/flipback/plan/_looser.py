"""What a later plan promises less of than an earlier one.

While a rollout runs, a plan may become stricter by itself and never looser: that is
for a person to accept. In doubt a change is one that must be accepted.
"""

from collections.abc import Iterator, Sequence

from flipback.plan._looser_guardrails import less_guarded
from flipback.plan._parts import GateRule, OnDeadline, OnError, Stage, Undecided, Until
from flipback.plan._plan import RolloutPlan
from flipback.plan._written import lasting


def loosened(before: RolloutPlan, after: RolloutPlan) -> tuple[str, ...]:
    """Return what the later plan promises less of, a sentence each.

    Empty for the same plan, and for one that is only stricter.
    """
    return (
        *_other_models(before, after),
        *less_guarded(before, after),
        *_gate(before, after),
        *_hope(before, after),
        *_stages(before.stages, after.stages),
        *_time(before, after),
    )


def _other_models(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    for role in ("control", "candidate", "unit"):
        old, new = getattr(before, role), getattr(after, role)
        if old != new:
            yield f"`{role}` is {new!r} instead of {old!r}, of which nothing is known"
    if (before.on_error, after.on_error) == (OnError.FALL_BACK, OnError.RAISE):
        yield "`on_error`: callers get the candidate's exceptions, not control's answer"


def _gate(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    if after.alpha > before.alpha:
        yield f"{_number('alpha', before.alpha, after.alpha)}: the gate errs more"
    if after.alpha < before.alpha:
        yield f"{_number('alpha', before.alpha, after.alpha)}: harm takes more proof"
    if (before.gate, after.gate) == (GateRule.STRICT, GateRule.SCALED):
        yield "`gate` is scaled instead of strict"
    scaled = before.gate is after.gate is GateRule.SCALED
    if scaled and after.max_ramp_margin > before.max_ramp_margin:
        yield _number("max_ramp_margin", before.max_ramp_margin, after.max_ramp_margin)
    if (before.undecided, after.undecided) == (Undecided.HOLD, Undecided.ASK):
        yield "`undecided` is ask instead of hold"
    if after.holdback < before.holdback:
        yield _number("holdback", before.holdback, after.holdback)


def _hope(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    old, new = before.hypothesis, after.hypothesis
    if old is None:
        return
    if new is None:
        yield f"nothing is hoped of `{old.metric}` any more"
        return
    if (new.metric, new.rises_by is None) != (old.metric, old.rises_by is None):
        yield f"something else is hoped for than of `{old.metric}`"
        return
    hoped, hopes = old.rises_by or old.falls_by, new.rises_by or new.falls_by
    if (hopes or 0.0) < (hoped or 0.0):
        yield f"less is hoped of `{old.metric}`: {hopes:g} instead of {hoped:g}"
    if old.required and not new.required:
        yield f"what is hoped of `{old.metric}` is not required any more"


def _stages(before: Sequence[Stage], after: Sequence[Stage]) -> Iterator[str]:
    left = list(after)
    for stage in before:
        shortest = _kept_by(stage, left)
        if shortest is None:
            yield f"the stage {_spelled(stage)} is gone"
            continue
        yield from _shortened(stage, left[shortest])
        del left[: shortest + 1]


def _kept_by(stage: Stage, left: Sequence[Stage]) -> int | None:
    """Return the stage that stands for another: of its weight, or the first shadow.

    Of several shadow stages the first that asks for no less, if there is one.
    """
    alike = [i for i, each in enumerate(left) if each.weight == stage.weight]
    as_long = [i for i in alike if not any(_shortened(stage, left[i]))]
    return next(iter(as_long or alike), None)


def _shortened(old: Stage, new: Stage) -> Iterator[str]:
    where = f"the stage {_spelled(old)}"
    if (new.shadow or 0.0) < (old.shadow or 0.0):
        yield f"{where}: the share is {new.shadow:g}"
    if new.window < old.window:
        yield f"{where} lasts {lasting(new.window)} instead of {lasting(old.window)}"
    if new.min_exposures < old.min_exposures:
        yield (
            f"{where} asks for {new.min_exposures:,} subjects instead of "
            f"{old.min_exposures:,}"
        )
    if (old.until, new.until) == (Until.PROOF, Until.WARM):
        yield f"{where} asks for a stable latency instead of proof"


def _time(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    if after.watch < before.watch:
        yield f"`watch` is {lasting(after.watch)} instead of {lasting(before.watch)}"
    if after.max_attempts > before.max_attempts:
        yield _number("max_attempts", before.max_attempts, after.max_attempts)
    if after.cool_down < before.cool_down:
        took = lasting(before.cool_down)
        yield f"`cool_down` is {lasting(after.cool_down)} instead of {took}"
    if before.deadline is None:
        return
    if after.deadline is None:
        yield "there is no `deadline` any more"
    elif after.deadline > before.deadline:
        was = lasting(before.deadline)
        yield f"`deadline` is {lasting(after.deadline)} instead of {was}"
    ways = before.on_deadline, after.on_deadline
    if ways == (OnDeadline.ROLL_BACK, OnDeadline.PAUSE):
        yield "`on_deadline` pauses instead of rolling back"


def _number(key: str, old: float, new: float) -> str:
    return f"`{key}` is {new:g} instead of {old:g}"


def _spelled(stage: Stage) -> str:
    if stage.shadow is not None:
        return f"of shadow {stage.shadow:g}"
    return f"of weight {stage.weight:g}"
