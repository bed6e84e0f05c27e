"""The shape of a flag's targeting: its branches, and the splits in them.

Only what a branch *returns* is looked at here; conditions are flagd's business.

    {"if": [A, "v2", B, {"fractional": ...}, {"fractional": ...}]}
               1        2                    default
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flipback_providers.flagfile._document import Json


DEFAULT = "default"
"""Label of the branch that is taken where no condition holds."""

TARGETING_KEY = "targetingKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a branch returns something: an element of the list around it.

    Attributes:
        label: "1", "2" ... in order, "default" for the last; "2.1" where the
            second branch branches again. An `if` as the last branch goes on
            counting.
        condition: What leads here; None for the default.
        siblings: The list that holds the returned node.
        index: Its place in that list.
    """

    label: str
    condition: Json
    siblings: list[Json]
    index: int

    @property
    def node(self) -> Json:
        """Return what the branch returns."""
        return self.siblings[self.index]

    def put(self, node: Json) -> None:
        """Let the branch return something else."""
        self.siblings[self.index] = node


@dataclass(frozen=True, slots=True, kw_only=True)
class Fractional:
    """A split: what it buckets by, and its entries `[variant, weight]`.

    Attributes:
        bucket: The expression that is hashed; None for flag and targeting key.
        entries: What follows it, as written; well formed only after validation.
    """

    bucket: Json
    entries: list[Json]

    @property
    def well_formed(self) -> list[list[Json]]:
        """Return the entries that have one or two members."""
        return [
            entry
            for entry in self.entries
            if isinstance(entry, list) and len(entry) in {1, 2}
        ]

    @property
    def needs_targeting_key(self) -> bool:
        """Return whether a subject without a targeting key has no bucket."""
        return self.bucket is None or TARGETING_KEY in _variables(self.bucket)

    @property
    def randomizes(self) -> bool:
        """Return whether equal subjects get different variants by chance alone.

        Not with one variant of positive weight, nor with a bucket that is the
        same for everybody. Computed weights differ between subjects, who could
        not be compared.
        """
        if self.bucket is not None and not _variables(self.bucket):
            return False
        weights = [weight(entry) for entry in self.well_formed]
        if any(weight is None for weight in weights):
            return False
        return len({json.dumps(e[0]) for e in self.well_formed if weight(e)}) > 1


def operation(node: Json) -> tuple[str, list[Json]] | None:
    """Return operator and arguments of a JsonLogic node, None for a literal."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    name, written = next(iter(node.items()))
    return name, written if isinstance(written, list) else [written]


def branching(node: Json) -> list[Json] | None:
    """Return conditions and branches in turn, None of a node that is no `if`."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    arguments = node.get("if", node.get("?:"))
    return arguments if isinstance(arguments, list) else None


def places(
    siblings: list[Json], index: int = 0, label: str = "", condition: Json = None
) -> Iterator[Place]:
    """Yield where the node at `index` returns something that is no `if`.

    `label` and `condition` are those of the branch around it, if there is one.
    """
    found = branching(siblings[index])
    if found is not None:
        yield from _branches(found, f"{label}." if label else "")
        return
    yield Place(
        label=label or DEFAULT, condition=condition, siblings=siblings, index=index
    )


def fractional(node: Json) -> Fractional | None:
    """Return the split that a node is, None if it is something else."""
    found = operation(node)
    if found is None or found[0] != "fractional":
        return None
    arguments = found[1]
    if not arguments or isinstance(arguments[0], list):
        return Fractional(bucket=None, entries=arguments)
    return Fractional(bucket=arguments[0], entries=arguments[1:])


def weight(entry: list[Json]) -> int | None:
    """Return the weight of an entry, 1 if unwritten, None if it is no integer."""
    if len(entry) == 1:
        return 1
    written = entry[1]
    if isinstance(written, bool) or not isinstance(written, int):
        return None
    return max(0, written)


def variant_name(leaf: Json) -> str | None:
    """Return the variant that a literal names, as flagd spells it; None for none."""
    if isinstance(leaf, bool):
        return str(leaf).lower()
    if isinstance(leaf, str | int | float):
        return str(leaf)
    return None


def _branches(arguments: list[Json], prefix: str) -> Iterator[Place]:
    number = 0
    while True:
        for index in range(1, len(arguments), 2):
            number += 1
            label = f"{prefix}{number}"
            yield from places(arguments, index, label, arguments[index - 1])
        if len(arguments) % 2 == 0:
            return
        following = branching(arguments[-1])
        if following is None:
            yield from places(arguments, len(arguments) - 1, f"{prefix}{DEFAULT}")
            return
        arguments = following


def _variables(node: Json) -> set[str]:
    """Return the attributes of the subject that an expression reads."""
    found = operation(node)
    if found is not None and found[0] == "var":
        name = found[1][0] if found[1] else ""
        read = name if isinstance(name, str) else json.dumps(name)
        return set() if read.startswith("$flagd") else {read}
    if isinstance(node, Mapping):
        node = list(node.values())
    if not isinstance(node, list):
        return set()
    return {name for value in node for name in _variables(value)}
