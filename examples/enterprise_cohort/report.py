"""Say in the end what happened, after having checked it from outside."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flipback import Finding, Look
from flipback_providers.flagfile import FlagFileProvider
from live import cohort_of, missed_by_cohort, percent
from models import Person
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from replay import Replay


FLAG = "income-model"
ASKED = 1_000
MORE_CALLS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a run leaves behind."""

    flags: Path
    ledger: Path
    spans: Path
    events: Path

    @classmethod
    def of(cls, folder: Path) -> "Files":
        """Return the files of a run in this folder."""
        return cls(
            flags=folder / "flags.flagd.json",
            ledger=folder / "flipback.ledger.jsonl",
            spans=folder / "trace.jsonl",
            events=folder / "events.jsonl",
        )


def outside_client(flags: Path) -> OpenFeatureClient:
    """Return a plain OpenFeature client of the flag file, which knows no router."""
    api.set_provider_and_wait(FlagFileProvider(flags), "outside")
    return api.get_client("outside")
