"""Mark calls as in flight, if this process has somewhere to mark them."""

from typing import Protocol

from flipback.assignment import Assignment


UNTRACKED = -1


class FlightLog(Protocol):
    """Where marks are kept; `flipback.stores.Flights` is one."""

    def enter(self, route: str, assignment: Assignment) -> int:
        """Mark a call as begun; return its slot."""
        ...

    def leave(self, slot: int) -> None:
        """Wipe the mark of a call that ended."""
        ...


class InFlight:
    """The log of this process, which comes and goes with the process."""

    __slots__ = ("log",)

    def __init__(self) -> None:
        self.log: FlightLog | None = None

    def enter(self, route: str, assignment: Assignment) -> int:
        """Mark a call whose crash would count, which is one that is compared."""
        log = self.log
        if log is None or not assignment.randomized:
            return UNTRACKED
        return log.enter(route, assignment)

    def leave(self, slot: int) -> None:
        """Wipe the mark."""
        log = self.log
        if log is not None and slot != UNTRACKED:
            log.leave(slot)
