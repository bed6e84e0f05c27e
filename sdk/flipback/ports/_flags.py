"""Reading, writing and killing flags in one flag service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from openfeature.provider import FeatureProvider

from flipback.assignment import Cohort


SCALE = 100_000
"""Weights of a split are in 1/1000 percent; a split sums to SCALE exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRef:
    """One flag, or with `rule` one rule of it, in one environment of a service."""

    key: str
    environment: str = ""
    project: str = ""
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An opaque version: good for equality, never for order."""

    token: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagState:
    """A flag as its service has it now.

    Attributes:
        ref: What was read.
        enabled: False where the service would hand out the caller's default.
        variants: Variant name to the value that it hands out.
        split: Variant name to weight (sums to SCALE) of the managed split; empty
            where the flag has none.
        default_variant: Variant served where no split or rule decides.
        version: Compare-and-set token of this state.
        exceptions: Rules and pins that do not follow the split, for people.
        splits: Every split of the flag by the rule that evaluations name, each a
            variant name to weight that sums to SCALE; empty where the service does
            not tell, or evaluations name no rule.
        raw: The flag as the service spells it (JSON text), for `restore`.
    """

    ref: FlagRef
    enabled: bool
    variants: Mapping[str, object]
    split: Mapping[str, int]
    default_variant: str | None
    version: Version
    exceptions: tuple[str, ...] = ()
    splits: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict[str, Mapping[str, int]]
    )
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Why a write is made; its id makes a replay recognisable.

    Attributes:
        id: The same for every retry of the same act.
        actor: Who wants it: a person's name, or the evaluator.
        reason: Why, for the service's audit log.
        findings: On which findings, a sentence each, for the ledger.
    """

    id: str
    actor: str
    reason: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChange:
    """What a write did.

    Attributes:
        intent: Why it was made.
        before: Version before.
        after: Version after.
        changed: False where the flag already was as wanted.
        raced: Another writer may have been overwritten.
        snapshot: The flag before the write, for `restore`.
    """

    intent: Intent
    before: Version
    after: Version
    changed: bool
    raced: bool = False
    snapshot: FlagState | None = None


class CompareAndSet(StrEnum):
    """How well a service can refuse a write that is based on an old state."""

    ATOMIC = "atomic"
    GUARDED = "guarded"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a flag service can do, so that nobody has to guess.

    Attributes:
        cas: How well it refuses a write that is based on an old state.
        kill_covers: What a kill reaches.
        cohorts: It can serve control to one cohort alone, in one write.
        comments: Reasons are kept with its own audit log.
        history: It tells who changed a flag.
        approvals_possible: A write may have to wait for a person's approval.
    """

    cas: CompareAndSet
    kill_covers: frozenset[str] = frozenset({"default", "rules", "targets"})
    cohorts: bool = False
    comments: bool = False
    history: bool = False
    approvals_possible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightIssue:
    """Something that would keep a flag from being killed or ramped as planned.

    Attributes:
        problem: What is wrong.
        remedy: What to do.
        blocks: False where it is for people to read.
        in_split: The managed split is missing or unusable, as a kill leaves it.
    """

    problem: str
    remedy: str
    blocks: bool = True
    in_split: bool = False


class FlagWriter(Protocol):
    """Write access to one flag service. OpenFeature itself only reads.

    The safe direction (`kill`) is unconditional and idempotent; the unsafe one
    (`set_split`, `readmit`, `restore`) is compare-and-set. All raise `FlagWriteError`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Return what this service can do."""
        ...

    def preflight(self, ref: FlagRef, *, control: str) -> Sequence[PreflightIssue]:
        """Return what stands in the way of managing this flag; nothing is changed."""
        ...

    def read(self, ref: FlagRef) -> FlagState:
        """Return the flag's state, read from the service itself and never cached."""
        ...

    def set_split(
        self,
        ref: FlagRef,
        split: Mapping[str, int],
        *,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        """Set the managed split; a state other than `expect` is a CONFLICT."""
        ...

    def kill(
        self,
        ref: FlagRef,
        *,
        control: str,
        intent: Intent,
        cohort: Cohort | None = None,
    ) -> FlagChange:
        """Make control explicit for everybody: default, rules and pinned users.

        Or for one cohort (`attribute=value`) alone, ahead of all other rules, where
        `capabilities.cohorts` says so; it is an INVALID_WRITE where it does not.
        """
        ...

    def readmit(
        self,
        ref: FlagRef,
        *,
        control: str,
        cohort: Cohort,
        expect: Version,
        intent: Intent,
    ) -> FlagChange:
        """Take back the rule that a kill of this cohort put in; the split stays.

        A state other than `expect` is a CONFLICT. Rules that people wrote in another
        way are not recognised: without one of a kill, nothing is changed.
        """
        ...

    def restore(
        self,
        snapshot: FlagState,
        *,
        expect: Version,
        intent: Intent,
        without: str | None = None,
    ) -> FlagChange:
        """Put a snapshot back; `without` names a variant to leave at weight 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagService:
    """A flag service as the composition root needs it.

    Attributes:
        provider: Reads flags through OpenFeature.
        writer: Writes them back; None where nothing can (kills stay local).
        version: Version of the evaluation code, part of every epoch: an upgrade
            may re-bucket users.
    """

    provider: FeatureProvider
    writer: FlagWriter | None
    version: str


class OpenFlagService(Protocol):
    """What an entry point in `flipback.flag_services` is."""

    def __call__(self, location: str, *, base: str) -> FlagService:
        """Open the service at `location`; relative paths start at folder `base`."""
        ...
