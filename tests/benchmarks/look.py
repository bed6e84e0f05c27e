"""How long one look takes at many guardrails, cohorts and epochs, and a gate."""

import statistics
import time
from collections.abc import Callable, Sequence
from random import Random

from flipback.analysis import analyze, gate, tests_of
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.tally import Seen, Tally


COHORTS = 10
EPOCHS = 4
CALLS = 60_000
REPEATS = 40
TARGET_MS = 10
METRICS: Sequence[dict[str, object]] = (
    {"metric": "error", "fails_on": "increase", "tolerance": 0.2},
    {"metric": "seconds", "fails_on": "increase", "tolerance": 0.2},
    {"metric": "grade", "fails_on": "decrease", "tolerance": 0.05},
    {"metric": "helpful", "fails_on": "decrease", "tolerance": 0.05},
)


def main() -> str:
    """Measure and return one line per figure, in processor time."""
    plan = plan_of(METRICS)
    evidence = evidence_of(plan)
    look = _ms(lambda: analyze(plan, evidence, shown=False))
    told = _ms(lambda: analyze(plan, evidence))
    analysis = analyze(plan, evidence)
    gated = _ms(lambda: gate(plan, evidence, weight=25, analysis=analysis))
    tests = len(tests_of(plan))
    size = f"{tests} tests x 64 buckets x {EPOCHS} epochs"
    figures = {
        f"one look, {size}": f"{statistics.median(look):.1f} ms (target {TARGET_MS} "
        f"ms), fastest of {REPEATS}: {min(look):.1f} ms",
        "the same with all that is shown": f"{statistics.median(told):.1f} ms",
        "the gate of the same, when asked": f"{statistics.median(gated):.1f} ms",
    }
    return "\n".join(f"{name}: {figure}" for name, figure in figures.items())


def plan_of(guardrails: Sequence[dict[str, object]]) -> RolloutPlan:
    """Return a plan with these guardrails in ten cohorts and together."""
    return RolloutPlan.model_validate(
        {
            "route": "answer",
            "flag": "f",
            "control": "control",
            "candidate": "candidate",
            "cohorts": {"segment": [f"s{number}" for number in range(COHORTS)]},
            "stages": [{"weight": 25}],
            "guardrails": list(guardrails),
        }
    )


def evidence_of(plan: RolloutPlan) -> Evidence:
    """Return what four epochs of a quarter of the traffic have left."""
    numbers = Random(1)  # noqa: S311 - not a secret
    tally = Tally(plan)
    for call in range(CALLS):
        seen = tally.expose(
            Seen(
                variant="candidate" if numbers.random() < 0.25 else "control",
                subject=numbers.getrandbits(64),
                cohorts=(f"segment=s{numbers.randrange(COHORTS)}",),
                epoch=f"e{call * EPOCHS // CALLS}",
            )
        )
        tally.outcome(seen, "error", float(numbers.random() < 0.02))
        tally.outcome(seen, "seconds", numbers.lognormvariate(0, 0.7))
        tally.outcome(seen, "grade", numbers.gauss(7, 2))
        tally.outcome(seen, "helpful", float(numbers.random() < 0.6))
    return tally.evidence


def _ms(act: Callable[[], object]) -> list[float]:
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.thread_time()
        act()
        times.append(1000 * (time.thread_time() - start))
    return times
