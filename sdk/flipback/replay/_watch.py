"""When a running application looks at its evidence, and what it saw last."""

from collections.abc import Mapping

from flipback.analysis import Analysis, PeakKey, analyze
from flipback.plan import RolloutPlan
from flipback.tally import Tally


LOOK_EVERY = 25
EVERY_EXPOSURE_UNTIL = 100
_HOUR_S = 3600


class Watch:
    """Looks at a tally as the guard of an application looks at its store.

    Args:
        plan: What was promised.
        tally: The evidence, of which percentiles are frozen at looks.
        every: Candidate exposures between looks, once there were 100.
        exposures: Those that the tally has already, after a restart.
    """

    def __init__(
        self,
        plan: RolloutPlan,
        tally: Tally,
        *,
        every: int = LOOK_EVERY,
        exposures: int = 0,
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._every = every
        self._peaks: Mapping[PeakKey, float] = {}
        self._hour: int | None = None
        self.exposures = exposures
        self.looks = 0

    def is_due(self, *, exposed: bool, now: float) -> bool:
        """Return whether to look after a row.

        Args:
            exposed: Whether the row is an exposure of the candidate, which is counted.
            now: Time of the log, Unix seconds.
        """
        hour = int(now // _HOUR_S)
        passed, self._hour = self._hour not in (None, hour), hour
        if not exposed:
            return passed
        self.exposures += 1
        early = self.exposures <= EVERY_EXPOSURE_UNTIL
        return passed or early or self.exposures % self._every == 0

    def look(self, now: float) -> Analysis:
        """Weigh the evidence, and freeze what can be frozen for what comes next."""
        self.looks += 1
        analysis = analyze(self._plan, self._tally.evidence, peaks=self._peaks, now=now)
        self._peaks = analysis.peaks
        self._tally.freeze()
        return analysis
