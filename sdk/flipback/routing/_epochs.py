"""Name what a decision was made with, so that unlike things are never pooled."""

import hashlib
from collections.abc import Callable

from flipback.exposure import Epoch
from flipback.plan import RolloutPlan
from flipback.ports import Clock
from flipback.routing._standing import Standing


_DIGITS = 16


class EpochBook:
    """The epochs of one route, as this process meets them.

    Every process computes the same digest alone, from what it evaluates with:
    there is no counter to agree on, and a restart changes nothing.
    """

    def __init__(
        self,
        plan: RolloutPlan,
        *,
        provider: str,
        versions: Callable[[], tuple[str, str]],
        opened: Callable[[Epoch], None],
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._versions = versions
        self._opened = opened
        self._clock = clock
        self._digests: dict[tuple[int, int, str], str] = {}

    def digest(self, standing: Standing, flag_version: str | None) -> str:
        """Return the digest of the epoch that a decision made now belongs to.

        A provider that reveals no version gets an epoch per hour (UTC): a
        change of the flag that nobody can see is then pooled for an hour at most.
        """
        version = flag_version if flag_version is not None else self._hour()
        key = (standing.attempt, standing.trip, version)
        found = self._digests.get(key)
        return found if found is not None else self._open(key)

    @property
    def comparison(self) -> str:
        """Return the digest of what is compared now, whatever the split is."""
        return _digest(self._compared())

    def forget(self) -> None:
        """Compute digests anew, since the code of a variant changed."""
        self._digests = {}

    def _hour(self) -> str:
        return self._clock.now().strftime("unversioned at %Y-%m-%dT%HZ")

    def _open(self, key: tuple[int, int, str]) -> str:
        attempt, trip, version = key
        compared = self._compared()
        described = "; ".join(
            (
                f"attempt {attempt}",
                f"trip {trip}",
                f"flag {self._plan.flag} {version}",
                compared,
            )
        )
        digest = _digest(described)
        self._opened(
            Epoch(
                digest=digest,
                route=self._plan.route,
                attempt=attempt,
                trip=trip,
                described=described,
                comparison=_digest(compared),
            )
        )
        self._digests[key] = digest
        return digest

    def _compared(self) -> str:
        control, candidate = self._versions()
        return "; ".join(
            (
                f"plan {self._plan.digest}",
                f"provider {self._provider}",
                f"{self._plan.control} {control}",
                f"{self._plan.candidate} {candidate}",
            )
        )


def _digest(described: str) -> str:
    return hashlib.sha256(described.encode()).hexdigest()[:_DIGITS]
