"""What one simulated run has to show: its requests, and when somebody looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flipback.histogram import Histogram, Threshold, Thresholds


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

SETTLED = ("e1", "")
"""Epoch and rule of traffic whose split never changes."""

PER_MINUTE = 1_000
"""Requests of both arms a minute; only rules that watch a clock notice."""

EARLY = 100
EVERY = 25
FROZEN_FROM = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """All requests of one run in their order; arrays have one entry a request.

    Attributes:
        served: Whether the candidate served it.
        user: Hash of the subject; its bucket is the remainder by 64.
        cohort: Index into `cohorts`; all 0 where there are none.
        stratum: Index into `strata`.
        values: What was measured, by metric.
        cohorts: Cohorts as `attribute=value`, empty if none is watched.
        strata: Epoch and rule.
        at: Seconds since the start.
        arrives: Seconds since the start at which a metric's outcomes come; those that
            are not named come at once.
        returning: Whether users come more than once.
        before: Control's values from before the first request, by metric, of which
            percentiles are frozen.
    """

    served: Flags
    user: Hashes
    cohort: Ints
    stratum: Ints
    values: Mapping[str, Floats]
    cohorts: tuple[str, ...] = ()
    strata: tuple[tuple[str, str], ...] = (SETTLED,)
    at: Floats
    arrives: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    returning: bool = False
    before: Mapping[str, Floats] = field(default_factory=dict[str, Floats])

    @property
    def thresholds(self) -> Thresholds:
        """Return what a running application would have frozen."""
        frozen = {name: _frozen(values) for name, values in self.before.items()}
        return {name: each for name, each in frozen.items() if each is not None}

    def pooled(self) -> "Requests":
        """Return the same requests with all strata taken for one."""
        return replace(self, stratum=np.zeros_like(self.stratum), strata=(SETTLED,))

    def unclustered(self, rng: np.random.Generator) -> "Requests":
        """Return the same requests with each taken for a user of its own."""
        return replace(self, user=hashes(rng, len(self.user)), returning=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When somebody looks; arrays have one entry a look.

    Attributes:
        ends: Requests that have been made.
        counted: Requests of the candidate that have been made, of those that the
            simulation counts.
        at: Seconds since the start.
    """

    ends: Ints
    counted: Ints
    at: Floats


def hashes(rng: np.random.Generator, size: int) -> Hashes:
    """Return hashes of that many subjects."""
    return rng.integers(0, 1 << 64, size, dtype=np.uint64)


def new_users(
    rng: np.random.Generator,
    served: Flags,
    values: Mapping[str, Floats],
    *,
    cohort: Ints | None = None,
    cohorts: tuple[str, ...] = (),
    before: Mapping[str, Floats] | None = None,
) -> Requests:
    """Return requests of users who come once, at a constant pace and split."""
    size = len(served)
    nowhere = np.zeros(size, dtype=np.int64)
    return Requests(
        served=served,
        user=hashes(rng, size),
        cohort=nowhere if cohort is None else cohort,
        stratum=nowhere,
        values=values,
        cohorts=cohorts,
        at=paced(size),
        before=before or {},
    )


def paced(size: int) -> Floats:
    """Return the seconds of requests that come at the constant pace."""
    return np.arange(1.0, size + 1) * (60.0 / PER_MINUTE)


def split(rng: np.random.Generator, share: float, most: int) -> Flags:
    """Return whom the candidate serves, until it has served that many."""
    size = int(most / share * 1.02 + 10 * (most**0.5) / share) + 1
    served = rng.random(size) < share
    last = int(np.flatnonzero(served)[most - 1])
    return served[: last + 1]


def looks_of(
    requests: Requests, *, counted: Flags | None = None, every: int = EVERY
) -> Looks:
    """Return looks at each request of the candidate below 100, then at every 25th.

    Args:
        requests: The requests.
        counted: Which requests of the candidate are counted; all, if not given.
        every: Look at every so many requests of the candidate. If it is not 25, the
            first 100 are treated like all others.
    """
    places = np.flatnonzero(requests.served)
    numbers = np.arange(1, len(places) + 1)
    seen = numbers % every == 0
    if every == EVERY:
        seen |= numbers < EARLY
    ends = places[seen] + 1
    which = requests.served if counted is None else requests.served & counted
    return Looks(ends=ends, counted=which.cumsum()[ends - 1], at=requests.at[ends - 1])


def _frozen(values: Floats) -> Threshold | None:
    histogram = Histogram()
    for value in values.tolist():
        histogram.add(value)
    return histogram.frozen()
