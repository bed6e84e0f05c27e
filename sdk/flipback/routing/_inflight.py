"""Mark calls as in flight, if this process has somewhere to mark them."""

from typing import Protocol

from flipback.assignment import Assignment


UNTRACKED = -1


class FlightLog(Protocol):
    """Where marks are kept; `flipback.stores.Flights` is one."""

    def enter(
        self,
        route: str,
        assignment: Assignment,
        *,
        control_failed: bool | None = None,
    ) -> int:
        """Mark a call as begun; return its slot.

        Args:
            route: The route that was called.
            assignment: Who answers whom.
            control_failed: Of a shadow answer, whether control's was an error; None
                of a call that is served.
        """
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

    def enter_unseen(
        self, route: str, assignment: Assignment, *, control_failed: bool
    ) -> int:
        """Mark a shadow answer, whose crash counts against the candidate as well."""
        log = self.log
        if log is None:
            return UNTRACKED
        return log.enter(route, assignment, control_failed=control_failed)

    def leave(self, slot: int) -> None:
        """Wipe the mark."""
        log = self.log
        if log is not None and slot != UNTRACKED:
            log.leave(slot)
