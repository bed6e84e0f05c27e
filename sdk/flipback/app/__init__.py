"""The composition root: configuration in, a working router or operator out."""

from flipback.app._drill_course import Drills
from flipback.app._drill_reports import DrillReport, DrillRound, Sighting, Times
from flipback.app._drilling import Driller
from flipback.app._guarding import Guard
from flipback.app._operator import Operator
from flipback.app._reports import Kill, Moved, Release, Restored, RouteStatus
from flipback.app._router import Router


__all__ = [
    "DrillReport",
    "DrillRound",
    "Driller",
    "Drills",
    "Guard",
    "Kill",
    "Moved",
    "Operator",
    "Release",
    "Restored",
    "RouteStatus",
    "Router",
    "Sighting",
    "Times",
]
