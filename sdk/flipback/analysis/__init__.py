"""From evidence to an answer: what each guardrail says, and what all say together."""

from flipback.analysis._analyze import Analysis, analyze
from flipback.analysis._explain import as_json, describe, explain
from flipback.analysis._gate import gate
from flipback.analysis._peaks import PeakKey
from flipback.analysis._power import (
    USUAL_DAYS,
    Power,
    Prospect,
    StagePower,
    power,
)
from flipback.analysis._power_question import NEVER_DAYS
from flipback.analysis._power_remedies import Remedy
from flipback.analysis._power_traffic import (
    Baseline,
    Traffic,
    baseline_of,
    baselines_wanted,
)


__all__ = [
    "NEVER_DAYS",
    "USUAL_DAYS",
    "Analysis",
    "Baseline",
    "PeakKey",
    "Power",
    "Prospect",
    "Remedy",
    "StagePower",
    "Traffic",
    "analyze",
    "as_json",
    "baseline_of",
    "baselines_wanted",
    "describe",
    "explain",
    "gate",
    "power",
]
