"""What acts on the world: the kill switch and the guardrail evaluator."""

from flipback.control._accepted import Accepted, AcceptedPlans
from flipback.control._clock import SystemClock
from flipback.control._commands import REASON, release_command, rollout_command
from flipback.control._controller import Controller
from flipback.control._flush import Flusher
from flipback.control._force import FORCED_IN_VAIN, ForcedControl
from flipback.control._gating import Asked, gate_of
from flipback.control._ground import Ground
from flipback.control._guard import (
    UNTRUSTED,
    GuardrailEvaluator,
    Look,
    culprits,
)
from flipback.control._killswitch import EVALUATOR, KillSwitch
from flipback.control._lost import lost
from flipback.control._mirror import Mirror, ledger_name
from flipback.control._moves import Moves, Outcome
from flipback.control._notify import Notifier
from flipback.control._order import Order, in_force
from flipback.control._reached import Delivered, KillReport
from flipback.control._repeat import Repeater
from flipback.control._restore import (
    Restoration,
    Snapshot,
    copies_in,
    readmit_cohort,
    restore_flag,
    snapshot_for,
)
from flipback.control._shares import NO_SHARE, Shares
from flipback.control._telling import DRILL_ROUTE
from flipback.control._told import Told


__all__ = [
    "DRILL_ROUTE",
    "EVALUATOR",
    "FORCED_IN_VAIN",
    "NO_SHARE",
    "REASON",
    "UNTRUSTED",
    "Accepted",
    "AcceptedPlans",
    "Asked",
    "Controller",
    "Delivered",
    "Flusher",
    "ForcedControl",
    "Ground",
    "GuardrailEvaluator",
    "KillReport",
    "KillSwitch",
    "Look",
    "Mirror",
    "Moves",
    "Notifier",
    "Order",
    "Outcome",
    "Repeater",
    "Restoration",
    "Shares",
    "Snapshot",
    "SystemClock",
    "Told",
    "copies_in",
    "culprits",
    "gate_of",
    "in_force",
    "ledger_name",
    "lost",
    "readmit_cohort",
    "release_command",
    "restore_flag",
    "rollout_command",
    "snapshot_for",
]
