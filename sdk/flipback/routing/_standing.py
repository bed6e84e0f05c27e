"""What overrides the flag of a route right now."""

from dataclasses import dataclass, field

from flipback.assignment import Cohort, Reason
from flipback.histogram import Threshold, Thresholds
from flipback.rollout import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A route's kill state and place in its rollout, replaced as a whole.

    Attributes:
        override: Why control serves whatever the flag says, None where it may speak.
        trip: Number of the last kill of everybody.
        era: Which of the periods that releases divide an attempt into; evidence is
            never pooled across one. `trip`, and how many of the cohorts' trips were
            released: it only grows.
        attempt: Which run of the rollout this is.
        stage: The stage in force.
        phase: What the rollout does, the latch considered.
        thresholds: Percentiles of control that are frozen for what is compared now.
        killed: Cohorts that control serves whatever the flag says.
        shadow: Share of control's calls that the candidate answers too, unseen.
    """

    override: Reason | None = Reason.NOT_READY
    trip: int = 0
    era: int = 0
    attempt: int = 1
    stage: int = 0
    phase: Phase = Phase.IDLE
    thresholds: Thresholds = field(default_factory=dict[str, Threshold])
    killed: frozenset[Cohort] = frozenset()
    shadow: float = 0.0


class Switch:
    """The one place where a route's standing is read and replaced.

    Reading is one attribute access, so that the kill check costs the request
    path nothing; replacing it is atomic, so that no call sees half a kill.
    """

    __slots__ = ("route", "standing")

    def __init__(self, route: str) -> None:
        self.route = route
        self.standing = Standing()
