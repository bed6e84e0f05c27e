"""Name what a decision was made with, so that unlike things are never pooled."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from flipback.exposure import Epoch
from flipback.histogram import Thresholds
from flipback.plan import RolloutPlan
from flipback.ports import Clock
from flipback.routing._standing import Standing


_DIGITS = 16


class _Key(NamedTuple):
    """What tells the epochs of one comparison apart.

    Attributes:
        version: Version of the flag, or the hour where it has none.
        frozen: The frozen percentiles, spelled out.
    """

    attempt: int
    trip: int
    version: str
    frozen: str


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
        self._digests: dict[_Key, str] = {}
        self._spelled: tuple[Thresholds, str] = ({}, "")

    def digest(self, standing: Standing, flag_version: str | None) -> str:
        """Return the digest of the epoch that a decision made now belongs to.

        A provider that reveals no version gets an epoch per hour (UTC): a
        change of the flag that nobody can see is then pooled for an hour at most.
        """
        version = flag_version if flag_version is not None else self._hour()
        frozen = self._frozen(standing.thresholds) if standing.thresholds else ""
        key = _Key(standing.attempt, standing.era, version, frozen)
        found = self._digests.get(key)
        if found is not None:
            return found
        return self._open(key, flag_version or "", standing.thresholds)

    @property
    def comparison(self) -> str:
        """Return the digest of what is compared now, whatever the split is."""
        return _digest(self._compared())

    def forget(self) -> None:
        """Compute digests anew, since the code of a variant changed."""
        self._digests = {}

    def _hour(self) -> str:
        return self._clock.now().strftime("unversioned at %Y-%m-%dT%HZ")

    def _frozen(self, thresholds: Thresholds) -> str:
        """Spell percentiles exactly; once for each mapping, as every call asks."""
        known, spelled = self._spelled
        if known is not thresholds:
            spelled = ", ".join(
                f"{metric} {tail!r} {cap!r}"
                for metric, (tail, cap) in sorted(thresholds.items())
            )
            self._spelled = (thresholds, spelled)
        return spelled

    def _open(self, key: _Key, flag_version: str, thresholds: Thresholds) -> str:
        compared = self._compared()
        parts = [
            f"attempt {key.attempt}",
            f"trip {key.trip}",
            f"flag {self._plan.flag} {key.version}",
            compared,
        ]
        if key.frozen:
            parts.append(f"frozen {key.frozen}")
        described = "; ".join(parts)
        digest = _digest(described)
        self._opened(
            Epoch(
                digest=digest,
                route=self._plan.route,
                attempt=key.attempt,
                trip=key.trip,
                described=described,
                comparison=_digest(compared),
                flag_version=flag_version,
                thresholds=thresholds,
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
