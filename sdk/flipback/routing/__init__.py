"""The request path: decide, serve, count; never raise, never block."""

from flipback.routing._context import context
from flipback.routing._decide import Decider
from flipback.routing._epochs import EpochBook
from flipback.routing._exchange import named, not_a_value, receipt, record
from flipback.routing._faults import Faults, described
from flipback.routing._flag import Evaluated, FlagReader
from flipback.routing._inflight import UNTRACKED, InFlight
from flipback.routing._parts import Parts
from flipback.routing._receipt import LIFETIME, Keyring, Ticket
from flipback.routing._recorder import Recorder
from flipback.routing._route import Decision, Route, Variant
from flipback.routing._shadow import Shadow, shadow_workers
from flipback.routing._standing import Standing, Switch
from flipback.routing._workers import Workers


__all__ = [
    "LIFETIME",
    "UNTRACKED",
    "Decider",
    "Decision",
    "EpochBook",
    "Evaluated",
    "Faults",
    "FlagReader",
    "InFlight",
    "Keyring",
    "Parts",
    "Recorder",
    "Route",
    "Shadow",
    "Standing",
    "Switch",
    "Ticket",
    "Variant",
    "Workers",
    "context",
    "described",
    "named",
    "not_a_value",
    "receipt",
    "record",
    "shadow_workers",
]
