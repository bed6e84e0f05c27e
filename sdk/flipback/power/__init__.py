"""What a plan can decide on the traffic that there is, before anybody is exposed."""

from flipback.power._power import USUAL_DAYS, Power, Prospect, StagePower, power
from flipback.power._question import NEVER_DAYS
from flipback.power._remedies import Remedy
from flipback.power._traffic import (
    Baseline,
    Traffic,
    baseline_of,
    baselines_wanted,
    stages_of,
)


__all__ = [
    "NEVER_DAYS",
    "USUAL_DAYS",
    "Baseline",
    "Power",
    "Prospect",
    "Remedy",
    "StagePower",
    "Traffic",
    "baseline_of",
    "baselines_wanted",
    "power",
    "stages_of",
]
