"""What a writer does to one flag, as functions on its JSON; no I/O."""

import copy
import json
from collections.abc import Iterator, Mapping

from flipback.assignment import Cohort
from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE
from flipback_providers.flagfile._cohorts import (
    cohort_of,
    condition,
    is_put_first,
    put_first,
    taken_out,
)
from flipback_providers.flagfile._document import (
    Json,
    JsonObject,
    expand,
    reference,
)
from flipback_providers.flagfile._targeting import (
    DEFAULT,
    Fractional,
    Place,
    fractional,
    operation,
    places,
    variant_name,
    weight,
)


def variants_of(flag: JsonObject) -> JsonObject:
    """Return the flag's variants; empty where they are unreadable."""
    variants = flag.get("variants")
    return variants if isinstance(variants, dict) else {}


def default_of(flag: JsonObject) -> str | None:
    """Return the default variant's name, None for the caller's own default."""
    return variant_name(flag.get("defaultVariant")) or None


def managed(flag: JsonObject, rule: str | None) -> Place:
    """Return the place of the managed split: the named rule's, else the last one's.

    Raises:
        FlagWriteError: There is no split, or none that can be written.
    """
    found = [p for p in _all_places(flag) if rule in {None, p.label}]
    if not found:
        named = f"no rule {rule!r}" if rule else "no split: everybody gets the default"
        raise _invalid(f"the flag has {named}; add a `fractional` there")
    place = found[-1]
    name = reference(place.node)
    if name is not None:
        raise _invalid(
            f"the split of rule {place.label} is shared with other flags through"
            f" $evaluators {name!r}; write it into the flag itself"
        )
    split = fractional(place.node)
    if split is None:
        raise _invalid(
            f"rule {place.label} returns {json.dumps(place.node)} and no split; make"
            " it a `fractional`, or name the rule that is one"
        )
    _demand_plain(place, split)
    return place


def split_of(flag: JsonObject, rule: str | None) -> dict[str, int]:
    """Return the managed split, its weights scaled to sum to SCALE.

    Raises:
        FlagWriteError: There is no split, or none that can be written.
    """
    return _scaled(_weights(managed(flag, rule).node))


def splits_of(
    flag: JsonObject, evaluators: Mapping[str, Json]
) -> dict[str, dict[str, int]]:
    """Return every plain split by the rule that evaluations name, scaled to SCALE.

    A split whose names or weights are computed has no share that is the same for
    all of its subjects, and is left out; so is one that leaves nothing to chance.
    """
    holder = [copy.deepcopy(expand(flag.get("targeting"), evaluators))]
    if not holder[0]:
        return {}
    found = ((place.label, fractional(place.node)) for place in places(holder))
    return {
        label: _scaled(_weights_of(split))
        for label, split in found
        if split is not None and split.randomizes and _is_named(split)
    }


def put_split(flag: JsonObject, rule: str | None, split: Mapping[str, int]) -> None:
    """Set the weights of the managed split, in the flag itself.

    Entries keep their order, so a share that grows keeps its subjects. Variants
    that are not in the split get weight 0; new ones are appended.

    Raises:
        FlagWriteError: A variant is unknown, or there is no split to write.
    """
    unknown = split.keys() - variants_of(flag).keys()
    if unknown:
        raise _unknown(min(unknown), flag)
    found = operation(managed(flag, rule).node)
    entries = found[1] if found else []
    left = dict(split)
    for entry in _lists(entries):
        entry[1:] = [left.pop(variant_name(entry[0]) or "", 0)]
    entries.extend([name, share] for name, share in left.items() if share)


def killed(flag: JsonObject, control: str) -> JsonObject:
    """Return the flag serving control to everybody; `control` may be its value.

    Raises:
        FlagWriteError: Control is neither a variant nor the value of just one.
    """
    name = _named(flag, control)
    edited = {**flag, "state": "ENABLED"}
    if default_of(flag) != name:
        edited["defaultVariant"] = name
    if flag.get("targeting"):
        edited["targeting"] = {}
    return edited


def killed_for(
    flag: JsonObject, cohort: Cohort, control: str, *, rule: str | None
) -> JsonObject:
    """Return the flag serving control to a cohort, and to all others what it did.

    The state stays: a flag that is off gives nobody else the candidate.

    Raises:
        FlagWriteError: Control is no variant, no rule can name the cohort, or the
            managed rule would get another label.
    """
    name, named = _named(flag, control), condition(cohort)
    targeting = flag.get("targeting")
    if not targeting and default_of(flag) == name:
        return flag
    if is_put_first(targeting, named, name):
        return flag
    if rule not in {None, DEFAULT}:
        raise _invalid(
            f"a rule for {cohort} ahead of all others would make rule {rule!r}, which"
            " the plan manages, another one; kill the whole flag"
        )
    return {**flag, "targeting": put_first(targeting, named, name)}


def readmitted(
    flag: JsonObject, cohort: Cohort, control: str, *, rule: str | None
) -> JsonObject:
    """Return the flag without the rule that a kill of the cohort put in.

    Raises:
        FlagWriteError: Control is no variant, or the managed rule would get another
            label.
    """
    targeting = flag.get("targeting")
    left = taken_out(targeting, cohort, _named(flag, control))
    if left == targeting:
        return flag
    if rule not in {None, DEFAULT}:
        raise _invalid(
            f"without its rule for {cohort}, rule {rule!r}, which the plan manages,"
            " would be another one; take the rule out by hand and correct the plan"
        )
    return {**flag, "targeting": left}


def without(
    flag: JsonObject, variant: str, *, stand_in: str, evaluators: Mapping[str, Json]
) -> JsonObject:
    """Return a copy of the flag that serves a variant to nobody.

    Pins of the variant and the default become the stand-in; in each split its
    weight goes to the stand-in, so everybody else keeps theirs. An evaluator that
    returns the variant is copied into the flag first.

    Raises:
        FlagWriteError: Targeting computes the variant, so nothing can be promised.
    """
    edited = copy.deepcopy(flag)
    if default_of(flag) == variant:
        edited["defaultVariant"] = stand_in
    holder = [edited.get("targeting")]
    if holder[0]:
        for place in list(places(holder)):
            _take_out(place, variant, stand_in, evaluators)
        edited["targeting"] = holder[0]
    return edited


def exceptions(flag: JsonObject, rule: str | None) -> tuple[str, ...]:
    """Describe the rules that do not follow the managed split, for people."""
    return tuple(_described(place) for place in _beside(flag, rule))


def surprises(flag: JsonObject, rule: str | None, control: str) -> tuple[str, ...]:
    """Describe those of the exceptions that no kill of a cohort has made."""
    serving = {control, *_names(flag, control)}
    return tuple(
        _described(place)
        for place in _beside(flag, rule)
        if cohort_of(place.condition) is None or place.node not in serving
    )


def _beside(flag: JsonObject, rule: str | None) -> list[Place]:
    """Return the places that do not follow the managed split."""
    try:
        followed = managed(flag, rule).label
    except FlagWriteError:
        followed = ""
    return [place for place in _all_places(flag) if place.label != followed]


def _all_places(flag: JsonObject) -> Iterator[Place]:
    targeting = flag.get("targeting")
    return places([targeting]) if targeting else iter(())


def _demand_plain(place: Place, split: Fractional) -> None:
    entries = split.well_formed
    names = [variant_name(entry[0]) for entry in entries]
    where = f"the split of rule {place.label}"
    if None in names or any(weight(entry) is None for entry in entries):
        raise _invalid(f"{where} is computed; write names and integer weights")
    if len(set(names)) < len(names):
        raise _invalid(f"{where} names a variant twice; join its entries")
    if not any(weight(entry) for entry in entries):
        raise _invalid(f"{where} has no positive weight; give it one")


def _weights(node: Json) -> dict[str, int]:
    split = fractional(node)
    return {} if split is None else _weights_of(split)


def _weights_of(split: Fractional) -> dict[str, int]:
    weights: dict[str, int] = {}
    for entry in split.well_formed:
        name = variant_name(entry[0]) or ""
        weights[name] = weights.get(name, 0) + (weight(entry) or 0)
    return weights


def _is_named(split: Fractional) -> bool:
    return all(variant_name(entry[0]) is not None for entry in split.well_formed)


def _scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """Scale weights to sum to SCALE; what rounding leaves goes to the largest rests."""
    total = sum(weights.values())
    scaled = {name: SCALE * value // total for name, value in weights.items()}
    rests = {name: SCALE * value % total for name, value in weights.items()}
    missing = SCALE - sum(scaled.values())
    for name in sorted(rests, key=lambda name: -rests[name])[:missing]:
        scaled[name] += 1
    return scaled


def _named(flag: JsonObject, control: str) -> str:
    if control in variants_of(flag):
        return control
    holders = _names(flag, control)
    if len(holders) != 1:
        raise _unknown(control, flag)
    return holders[0]


def _names(flag: JsonObject, value: str) -> list[str]:
    return [name for name, held in variants_of(flag).items() if held == value]


def _take_out(
    place: Place, variant: str, stand_in: str, evaluators: Mapping[str, Json]
) -> None:
    split = fractional(place.node)
    if split is not None:
        for entry in split.well_formed:
            if operation(entry[0]) is not None:
                for inner in list(places(entry, 0, place.label, place.condition)):
                    _take_out(inner, variant, stand_in, evaluators)
        _hand_over(place, split, variant, stand_in)
    elif reference(place.node) is not None:
        _copy_in(place, variant, stand_in, evaluators)
    elif operation(place.node) is not None:
        raise _invalid(
            f"rule {place.label} computes its variant, so {variant!r} cannot be kept"
            " out; change that rule, or edit the flag by hand"
        )
    elif variant_name(place.node) == variant:
        place.put(stand_in)


def _hand_over(place: Place, split: Fractional, variant: str, stand_in: str) -> None:
    taken = [e for e in split.well_formed if variant_name(e[0]) == variant]
    heirs = [e for e in split.well_formed if variant_name(e[0]) == stand_in]
    for entry in taken:
        if not heirs:
            entry[0] = stand_in
            continue
        share, kept = weight(entry), weight(heirs[0])
        if share is None or kept is None:
            raise _invalid(f"the split of rule {place.label} is computed; write it out")
        heirs[0][1:] = [kept + share]
        entry[1:] = [0]


def _copy_in(
    place: Place, variant: str, stand_in: str, evaluators: Mapping[str, Json]
) -> None:
    expanded = expand(place.node, evaluators)
    if reference(expanded) is not None:
        raise _invalid(f"rule {place.label} refers to no evaluator; define it")
    holder = [copy.deepcopy(expanded)]
    for inner in list(places(holder, 0, place.label, place.condition)):
        _take_out(inner, variant, stand_in, evaluators)
    if holder[0] != expanded:
        place.put(holder[0])


def _described(place: Place) -> str:
    cohort = cohort_of(place.condition)
    under = f" where {json.dumps(place.condition)}" if place.condition else ""
    split = fractional(place.node)
    if split is None and cohort is not None:
        return f"rule {place.label} serves {json.dumps(place.node)} to {cohort}"
    if split is None:
        return f"rule {place.label}{under} serves {json.dumps(place.node)}"
    shares = ", ".join(json.dumps(entry) for entry in split.entries)
    return f"rule {place.label}{under} splits {shares}"


def _lists(entries: list[Json]) -> list[list[Json]]:
    return [entry for entry in entries if isinstance(entry, list)]


def _unknown(variant: str, flag: JsonObject) -> FlagWriteError:
    known = ", ".join(map(repr, variants_of(flag))) or "none"
    return _invalid(f"{variant!r} is no variant of the flag; it has {known}")


def _invalid(message: str) -> FlagWriteError:
    return FlagWriteError(message, kind=FlagProblem.INVALID_WRITE)
