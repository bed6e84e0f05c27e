"""From evidence to an answer: what each guardrail says, and what all say together."""

from flipback.analysis._analyze import Analysis, analyze
from flipback.analysis._explain import as_json, describe, explain
from flipback.analysis._gate import gate
from flipback.analysis._gate_margin import (
    ALL,
    Side,
    gate_margin,
    next_weight_after,
    opposite,
    sides_of,
)
from flipback.analysis._means import BURN_IN
from flipback.analysis._peaks import PeakKey
from flipback.analysis._renewal import Renewal
from flipback.analysis._warm_up import WarmUp, warm_up
from flipback.analysis._weighed import smallest_harm
from flipback.analysis._weights import Test, tests_of


__all__ = [
    "ALL",
    "BURN_IN",
    "Analysis",
    "PeakKey",
    "Renewal",
    "Side",
    "Test",
    "WarmUp",
    "analyze",
    "as_json",
    "describe",
    "explain",
    "gate",
    "gate_margin",
    "next_weight_after",
    "opposite",
    "sides_of",
    "smallest_harm",
    "tests_of",
    "warm_up",
]
