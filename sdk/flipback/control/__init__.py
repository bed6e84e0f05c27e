"""What acts on the world: the kill switch and the guardrail evaluator."""

from flipback.control._clock import SystemClock
from flipback.control._delivery import Delivered, KillReport
from flipback.control._flush import Flusher
from flipback.control._force import FORCED_IN_VAIN, ForcedControl
from flipback.control._guard import (
    UNTRUSTED,
    GuardrailEvaluator,
    Look,
    culprits,
)
from flipback.control._killswitch import EVALUATOR, Ground, KillSwitch
from flipback.control._repeat import Repeater
from flipback.control._shares import NO_SHARE, Shares


__all__ = [
    "EVALUATOR",
    "FORCED_IN_VAIN",
    "NO_SHARE",
    "UNTRUSTED",
    "Delivered",
    "Flusher",
    "ForcedControl",
    "Ground",
    "GuardrailEvaluator",
    "KillReport",
    "KillSwitch",
    "Look",
    "Repeater",
    "Shares",
    "SystemClock",
    "culprits",
]
