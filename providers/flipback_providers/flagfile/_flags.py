"""All flags of a file, ready to be evaluated; replaced as a whole on a change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.exception import TargetingKeyMissingError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason

from flipback.errors import Mistake
from flipback_providers.flagfile._document import Document, JsonObject
from flipback_providers.flagfile._marking import MarkedFlag, mark_flag
from flipback_providers.flagfile._validation import mistakes


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags in force.

    Attributes:
        marked: Flags by key.
        metadata: What all flags of the file share.
        core: flagd's evaluator, holding exactly these flags.
    """

    marked: Mapping[str, MarkedFlag] = field(default_factory=dict[str, MarkedFlag])
    metadata: JsonObject = field(default_factory=JsonObject)
    core: FlagdCore = field(init=False, default_factory=FlagdCore)

    def __post_init__(self) -> None:
        flags = {key: dict(flag.definition) for key, flag in self.marked.items()}
        self.core.set_flags({"flags": flags, "metadata": dict(self.metadata)})

    def renewed(self) -> "Flags":
        """Return the same flags with locks of their own, for the child of a fork."""
        return Flags(marked=self.marked, metadata=self.metadata)

    def changed_since(self, before: "Flags") -> list[str]:
        """Return the keys of flags that were added, removed or edited, sorted."""
        keys = self.marked.keys() | before.marked.keys()
        return sorted(key for key in keys if self.digest(key) != before.digest(key))

    def read(
        self, key: str, details: FlagResolutionDetails[_T]
    ) -> FlagResolutionDetails[_T]:
        """Take flagd's answer, its mark off, and say which rule decided and how.

        Raises:
            TargetingKeyMissingError: A split was reached without a targeting key.
        """
        mark = self.marked[key].marks.get(details.variant or "")
        if mark is None:
            return details
        if mark.keyless:
            raise TargetingKeyMissingError(
                f"flag {key!r} splits by targeting key; give the context one"
            )
        details.variant = mark.variant
        details.reason = Reason.SPLIT if mark.randomized else Reason.TARGETING_MATCH
        details.flag_metadata = {**details.flag_metadata, "rule": mark.rule}
        return details

    def digest(self, key: str) -> str:
        """Return the digest of one flag, empty if there is none of that key."""
        flag = self.marked.get(key)
        return flag.digest if flag else ""


def load(document: Document, *, before: Flags) -> tuple[Flags, tuple[Mistake, ...]]:
    """Return the file's flags, and the mistakes of those that cannot be used.

    A flag with a mistake stays as it was before, or away if it is new; so one
    team's mistake delays nobody else's change, and no kill.
    """
    found = mistakes(document)
    wrong = {mistake.key for mistake in found}
    marked: dict[str, MarkedFlag] = {}
    for key, flag in document.flags.items():
        if key not in wrong and isinstance(flag, dict):
            marked[key] = mark_flag(flag, document.evaluators)
        elif key in before.marked:
            marked[key] = before.marked[key]
    return Flags(marked=marked, metadata=document.metadata), found
