"""Let flagd say which branch decided, and whether a split did.

flagd answers with a variant's name alone. So each place where targeting returns
a variant gets a name of its own, with the same value:

    {"if": [A, "v2", {"fractional": [["v1", 90], ["v2", 10]]}]}
    {"if": [A, "v2#0", {"fractional": [["v1#1", 90], ["v2#2", 10]]}]}

and the answer's mark is taken off again. flagd hashes the bucket and never the
names, so nobody's assignment changes. `REVISION` is part of every epoch.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from flipback_providers.flagfile._document import (
    Json,
    JsonObject,
    digest,
    expand,
    scalars,
)
from flipback_providers.flagfile._targeting import (
    TARGETING_KEY,
    Fractional,
    Place,
    fractional,
    places,
    variant_name,
)


REVISION = 1
_KEYLESS = "\0keyless"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a marked variant stands for.

    Attributes:
        variant: The variant's real name.
        rule: Label of the branch that decided.
        randomized: Whether a split decided.
        keyless: A split was reached by a subject without a targeting key.
    """

    variant: str
    rule: str
    randomized: bool
    keyless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedFlag:
    """A flag as flagd gets it, and how to read flagd's answers.

    Attributes:
        digest: Of the flag as written, and the evaluators that it refers to.
        definition: For flagd; has no references and no keys that it refuses.
        marks: Marked name to what it stands for.
    """

    digest: str
    definition: JsonObject
    marks: Mapping[str, Mark]


def mark_flag(flag: Mapping[str, Json], evaluators: Mapping[str, Json]) -> MarkedFlag:
    """Mark a valid flag."""
    version = digest(dict(flag), evaluators)
    variants = flag.get("variants")
    marker = _Marker(dict(variants) if isinstance(variants, dict) else {})
    holder = [copy.deepcopy(expand(flag.get("targeting"), evaluators))]
    if holder[0]:
        for place in places(holder):
            marker.mark(place, randomized=False)
    definition: JsonObject = {
        "state": flag.get("state"),
        "variants": marker.variants,
        "defaultVariant": flag.get("defaultVariant"),
        "targeting": holder[0],
        "metadata": {**scalars(flag.get("metadata")), "version": version},
    }
    return MarkedFlag(digest=version, definition=definition, marks=marker.marks)


@dataclass(slots=True)
class _Marker:
    variants: JsonObject
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])

    def mark(self, place: Place, *, randomized: bool) -> None:
        split = fractional(place.node)
        if split is not None:
            self._mark_split(place, split, randomized=randomized)
            return
        name = variant_name(place.node)
        if name is not None and name in self.variants:
            marked = Mark(variant=name, rule=place.label, randomized=randomized)
            place.put(self._add(marked))

    def _mark_split(self, place: Place, split: Fractional, *, randomized: bool) -> None:
        chance = randomized or split.randomizes  # asked before marks tell twins apart
        for entry in split.well_formed:
            for inner in places(entry, 0, place.label, place.condition):
                self.mark(inner, randomized=chance)
        if split.needs_targeting_key:
            place.put({"if": [{"var": TARGETING_KEY}, place.node, self._keyless()]})

    def _add(self, mark: Mark) -> str:
        name = f"{mark.variant}\0{len(self.marks)}"
        self.marks[name] = mark
        self.variants[name] = self.variants[mark.variant]
        return name

    def _keyless(self) -> str:
        if _KEYLESS not in self.variants:
            # Of the flag's own type, so that flagd's check of types lets it pass.
            self.variants[_KEYLESS] = next(iter(self.variants.values()))
            self.marks[_KEYLESS] = Mark(
                variant="", rule="", randomized=False, keyless=True
            )
        return _KEYLESS
