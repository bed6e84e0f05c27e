"""A flag as contract tests need it, and what they do to it."""

from collections.abc import Mapping
from typing import Protocol

import pytest
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import FeatureProvider

from flipback.errors import FlagProblem, FlagWriteError
from flipback.ports import SCALE, FlagChange, FlagRef, FlagWriter, Intent, Version


Attributes = Mapping[str, str]

USERS = tuple(f"user-{number}" for number in range(3000))
INTENT = Intent(id="intent-8f3a", actor="flipback", reason="error rate 0.09 > 0.05")
_MEMBERS = 500

Served = dict[str, str]
"""Targeting key to the value that was served."""


class FlagWriterBench(Protocol):
    """A flag in a service, with all that its tests need.

    The flag is of type string and each variant's value is its name. Its managed
    split gives 90 % control and 10 % candidate, by targeting key; a rule pins
    one more user to the candidate.
    """

    writer: FlagWriter
    provider: FeatureProvider
    ref: FlagRef
    control: str
    candidate: str
    pinned: str

    def settle(self) -> None:
        """Let the provider see what has been written."""
        ...

    def edit_by_hand(self) -> None:
        """Edit the flag as a person would, without the writer."""
        ...

    def serve_by_default(self, variant: str) -> None:
        """Let a variant be served where no rule decides, or the flag is off."""
        ...

    def content(self) -> object:
        """Return what the service holds, good for equality."""
        ...

    def audit(self) -> str:
        """Return where the service says why a flag was written."""
        ...


def split(bench: FlagWriterBench, share: int) -> dict[str, int]:
    """Return the split that gives the candidate this share."""
    return {bench.control: SCALE - share, bench.candidate: share}


def ramp(bench: FlagWriterBench, share: int, *, expect: Version | None = None) -> None:
    """Set the split, on the version that is there if none is named."""
    version = expect or bench.writer.read(bench.ref).version
    bench.writer.set_split(
        bench.ref, split(bench, share), expect=version, intent=INTENT
    )


def kill(bench: FlagWriterBench, *, cohort: str | None = None) -> Version:
    """Kill the flag, or a cohort in it; return the version after."""
    return kill_cohort(bench, cohort).after


def kill_cohort(bench: FlagWriterBench, cohort: str | None) -> FlagChange:
    """Kill a cohort of the flag, everybody for None."""
    return bench.writer.kill(
        bench.ref, control=bench.control, intent=INTENT, cohort=cohort
    )


def readmit(
    bench: FlagWriterBench, cohort: str, *, expect: Version | None = None
) -> FlagChange:
    """Take a cohort's kill back, on the version that is there if none is named."""
    version = expect or bench.writer.read(bench.ref).version
    return bench.writer.readmit(
        bench.ref, control=bench.control, cohort=cohort, expect=version, intent=INTENT
    )


def served(
    bench: FlagWriterBench,
    client: OpenFeatureClient,
    attributes: Attributes | None = None,
) -> Served:
    """Return what each user is served; with attributes, of fewer users."""
    bench.settle()
    users = USERS if attributes is None else USERS[:_MEMBERS]
    return {
        user: client.get_string_value(
            bench.ref.key, "", EvaluationContext(user, {**(attributes or {})})
        )
        for user in (*users, bench.pinned)
    }


def assert_conflict(bench: FlagWriterBench, stale: Version) -> None:
    """Assert that a ramp on that version is refused and changes nothing."""
    before = bench.content()
    with pytest.raises(FlagWriteError, match=bench.ref.key) as caught:
        ramp(bench, 50_000, expect=stale)
    assert caught.value.kind is FlagProblem.CONFLICT
    assert bench.content() == before
