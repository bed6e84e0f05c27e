"""A bench whose candidate answers control's calls unseen."""

import threading
from collections.abc import Callable
from dataclasses import replace

from openfeature.flag_evaluation import Reason

from benches import Bench
from flipback.routing import Route, Shadow, Workers, shadow_workers
from troubles import PATIENCE_S


class ShadowBench:
    """A bench in a shadow stage: the flag gives control to everybody.

    Attributes:
        bench: The bench.
        workers: One thread and its queue; `answered` waits for them.
        flushes: How often the workers asked for a flush.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        share: float = 1.0,
        queue: int = 64,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self.bench = bench
        self.flushes = 0
        bench.say("v1", Reason.STATIC)
        self.workers = self.hire(queue)
        self.stand(shadow=share)
        self.shadow = Shadow(
            bench.parts, self.workers, switch=bench.switch, flush=self._flush
        )
        bench.route = Route(
            bench.parts,
            bench.decider,
            bench.functions,
            expected=expected,
            shadow=self.shadow,
        )

    def hire(self, queue: int) -> Workers:
        return shadow_workers(
            [self.bench.switch], self.bench.faults, threads=1, queue=queue
        )

    def stand(self, **parts: object) -> None:
        """Set parts of the standing, as a kill or a move does."""
        self.bench.switch.standing = replace(self.bench.switch.standing, **parts)  # type: ignore[arg-type] # parts of a Standing

    def answered(self) -> None:
        """Wait until everything that is in the queue has been answered."""
        self.workers.tend()
        done = threading.Event()
        assert self.workers.offer(done.set)
        assert done.wait(PATIENCE_S)

    def _flush(self) -> None:
        self.flushes += 1


OpenStage = Callable[..., ShadowBench]
SLOT = 7


def pairs(bench: Bench, metric: str = "error") -> dict[str, tuple[int, float]]:
    """Return count and mean of a metric's pairs, by variant."""
    means = bench.drained().means()
    return {v: mean for (v, name), mean in means.items() if name == f"{metric}+paired"}


def subject_of(bench: Bench, key: str) -> int:
    return bench.parts.keyring.subject(key)
