"""Who was given which variant, by which flag, and why."""

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a variant is to the rollout of its route."""

    CONTROL = "control"
    CANDIDATE = "candidate"
    OTHER = "other"


class Reason(StrEnum):
    """Why this variant: OpenFeature's reasons first, then our own.

    Only `SPLIT` is randomised; every other reason is counted as excluded and is
    never compared.
    """

    __hash__ = str.__hash__  # Enum's own is a Python call, and every decision hashes

    SPLIT = "split"
    TARGETING_MATCH = "targeting_match"
    STATIC = "static"
    DEFAULT = "default"
    DISABLED = "disabled"
    CACHED = "cached"
    STALE = "stale"
    UNKNOWN = "unknown"
    ERROR = "error"

    FORCED = "forced_control"
    KILLED = "killed"
    NOT_READY = "provider_not_ready"
    NO_TARGETING_KEY = "targeting_key_missing"
    TYPE_MISMATCH = "type_mismatch"
    FLAG_NOT_FOUND = "flag_not_found"
    UNKNOWN_VARIANT = "unknown_variant"
    FAULT = "flipback_fault"


Cohort = str
"""A segment analysed on its own, as `attribute=value`; `EVERYBODY` is the aggregate."""

EVERYBODY: Cohort = ""
OTHER_VALUE = "other"
NO_VALUE = "(none)"


class Assignment(NamedTuple):
    """A subject's variant with all that is needed to compare it, or not.

    A tuple, because one is made per call and that is three times as quick.

    Attributes:
        variant: Name of the variant that serves.
        role: What that variant is to the rollout.
        flag_key: The flag that was evaluated.
        flag_version: The provider's word for the flag's version, if it has one.
        rule: The rule of the flag that decided, if the provider reveals it.
        randomized: Whether a split decided; only then the exposure is evidence.
        reason: Why this variant.
        provider: Name of the flag provider.
        epoch: Content digest of what the decision was made with.
        attempt: Which run of the rollout this belongs to, from 1.
        stage: Index of the plan's stage in force, from 0.
        cohorts: The cohorts of the subject, at decision time; aggregate not named.
        subject: Keyed 64-bit hash of the randomisation key, 0 if there is none.
        decision_id: Unique among all decisions, 16 hexadecimal digits.
        at: When it was decided, Unix seconds; 0 where no outcome is delayed.
    """

    variant: str
    role: Role
    flag_key: str
    flag_version: str | None
    rule: str | None
    randomized: bool
    reason: Reason
    provider: str
    epoch: str
    attempt: int
    stage: int
    cohorts: tuple[Cohort, ...]
    subject: int
    decision_id: str
    at: float = 0.0
