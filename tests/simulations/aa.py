"""False rollbacks between identical models, and how soon harm is caught.

Every run asks `flipback.analysis.analyze` again and again until it fails or the
run ends, as the evaluator does. Counts are of candidate requests.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from math import comb, exp, sin
from random import Random
from statistics import median

from tests.simulations._book import Book, plan_of, seeded

from flipback.analysis import PeakKey, analyze
from flipback.exposure import BUCKETS
from flipback.plan import RolloutPlan
from flipback.verdict import Verdict


SEGMENTS = tuple(f"s{number}" for number in range(10))
FOUR_METRICS = (
    {"metric": "error", "fails_on": "increase"},
    {"metric": "latency_s", "fails_on": "increase"},
    {"metric": "grade", "fails_on": "decrease"},
    {"metric": "helpful", "fails_on": "decrease"},
)
MOST = 10_000

Traffic = Callable[[Random, Book], Iterator[int]]
"""Books some requests and yields how many the candidate has had so far."""


def main(runs: int) -> str:
    """Return the table of measured error rates and detection times."""
    fewer = max(1, 2 * runs // 5)
    rows = [
        _false(four_metrics_design(), "A/A, 44 tests, 10 % split", fewer),
        _false(ramp_design(), "A/A, 44 tests, returning users, ramp and drift", fewer),
        _false(segment_rule_design(), "A/A, rule at 50 % beside a 1 % split", fewer),
        _false(common_events_design(), "A/A, errors 10 %, 50 % split", fewer),
        _soon(events_design(0.04), "errors 2 % to 4 %, 5 % split", runs, 560),
        _soon(events_design(0.1), "errors 2 % to 10 %, 5 % split", runs, 60),
        _soon(proportion_design(), "proportion 50 % to 45 %, 5 % split", runs, 760),
        _soon(dead_design(), "total failure, 1 % split, 1/44 of alpha", runs, 5),
        _soon(cohort_design(), "a cohort of 3 % loses 20 %, 44 tests", fewer, 450),
    ]
    head = "| design | runs | target | measured |\n|---|---|---|---|\n"
    return head + "\n".join(rows)


def _false(design: "Design", name: str, runs: int) -> str:
    hits = false_rollbacks(design, runs)
    bound = upper_bound(hits, runs)
    measured = f"{hits / runs:.1%} rolled back (at most {bound:.1%})"
    return f"| {name} | {runs} | <= 5 % | {measured} |"


def _soon(design: "Design", name: str, runs: int, target: int) -> str:
    waits = sorted(design.run(seed) or MOST for seed in range(runs))
    middle, late = median(waits), waits[int(0.9 * (runs - 1))]
    return f"| {name} | {runs} | <= {target} | {middle:.0f} (9 of 10 by {late}) |"


class Design:
    """A plan and the traffic it sees; every run starts from an empty book."""

    def __init__(self, plan: RolloutPlan, traffic: Traffic) -> None:
        self.plan = plan
        self.traffic = traffic

    def run(self, seed: int) -> int | None:
        """Return the candidate's requests until the plan fails, None if never."""
        book = Book()
        peaks: Mapping[PeakKey, float] = {}
        for seen in self.traffic(seeded(seed), book):
            analysis = analyze(self.plan, book.evidence, peaks=peaks)
            if analysis.verdict is Verdict.FAIL:
                return seen
            peaks = analysis.peaks
        return None


def false_rollbacks(design: Design, runs: int) -> int:
    """Return in how many runs a harmless candidate was rolled back."""
    return sum(design.run(seed) is not None for seed in range(runs))


def upper_bound(hits: int, runs: int) -> float:
    """Return the exact upper 95 % confidence bound (Clopper and Pearson)."""
    low, high = hits / runs, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        tail = sum(
            comb(runs, k) * middle**k * (1 - middle) ** (runs - k)
            for k in range(hits + 1)
        )
        low, high = (middle, high) if tail > 0.05 else (low, middle)
    return high


def is_look(seen: int) -> bool:
    """Return whether the evaluator looks after so many candidate requests.

    Always below 100, every 25 below 1,000, then at steps of about 5 %: looks that
    are closer find hardly more crossings and take most of the time.
    """
    if seen < 100:
        return True
    return seen % (25 if seen < 1_000 else 25 * max(1, seen // 500)) == 0


def four_metrics_design() -> Design:
    """Four metrics in ten cohorts and together; every request is a new user."""
    return Design(plan_of(*FOUR_METRICS, segments=SEGMENTS), _four_metrics)


def _four_metrics(rng: Random, book: Book) -> Iterator[int]:
    seen = 0
    while seen < MOST:
        variant = "candidate" if rng.random() < 0.1 else "control"
        cohort = f"segment={rng.choice(SEGMENTS)}"
        bucket = rng.randrange(BUCKETS)
        where = {"bucket": bucket, "cohort": cohort}
        book.events(variant, rng.random() < 0.02, 1, cohort=cohort)
        book.value(variant, "latency_s", rng.lognormvariate(0, 0.7), **where)
        book.value(variant, "grade", rng.gauss(7, 2), **where)
        book.value(variant, "helpful", float(rng.random() < 0.6), **where)
        if variant == "candidate":
            seen += 1
            if is_look(seen):
                yield seen


STAGES = ((0.01, 200), (0.05, 1_000), (0.25, 4_000), (0.5, MOST))


class User:
    """Somebody who returns: always the same arm at a split, cohort and bias."""

    __slots__ = ("bias", "bucket", "cohort", "place")

    def __init__(self, rng: Random) -> None:
        self.place = rng.random()
        self.bucket = rng.randrange(BUCKETS)
        self.cohort = f"segment={rng.choice(SEGMENTS)}"
        self.bias = rng.gauss(0, 1)


def ramp_design() -> Design:
    """The same 44 tests on returning users while the ramp and all rates move."""
    return Design(plan_of(*FOUR_METRICS, segments=SEGMENTS), _ramp)


def _ramp(rng: Random, book: Book) -> Iterator[int]:
    users = [User(rng) for _ in range(3_000)]
    activity = list(accumulate(rng.lognormvariate(0, 1) for _ in users))
    seen = 0
    for stage, (share, until) in enumerate(STAGES):
        counted: set[tuple[str, User]] = set()
        while seen < until:
            (user,) = rng.choices(users, cum_weights=activity)
            variant = "candidate" if user.place < share else "control"
            level = stage / 2 + sin(seen / 300) / 2 + len(user.cohort) * stage / 30
            _returning(rng, book, (user, variant, f"e{stage}", level), counted)
            if variant == "candidate":
                seen += 1
                if is_look(seen):
                    yield seen


def _returning(
    rng: Random,
    book: Book,
    request: tuple[User, str, str, float],
    counted: set[tuple[str, User]],
) -> None:
    user, variant, epoch, level = request
    where = {"bucket": user.bucket, "cohort": user.cohort, "epoch": epoch}
    failed = rng.random() < 0.02 * exp(level + 0.5 * user.bias)
    for fact, event in (("exposed", False), ("failed", True)):
        if (not event or failed) and (fact, user) not in counted:
            counted.add((fact, user))
            book.events(variant, event, not event, cohort=user.cohort, epoch=epoch)
    latency = exp(0.3 * level + 0.35 * user.bias + rng.gauss(0, 0.6))
    book.value(variant, "latency_s", latency, **where)
    book.value(variant, "grade", 7 - level + user.bias + rng.gauss(0, 1.8), **where)
    odds = exp(0.5 - 0.3 * level + 0.8 * user.bias)
    book.value(variant, "helpful", float(rng.random() < odds / (1 + odds)), **where)


def segment_rule_design() -> Design:
    """A product rule sends half of a troubled segment to an identical model."""
    return Design(plan_of(FOUR_METRICS[0], FOUR_METRICS[3]), _segment_rule)


def _segment_rule(rng: Random, book: Book) -> Iterator[int]:
    seen = 0
    while seen < MOST // 5:
        troubled = rng.random() < 0.1
        rule, share = ("troubled", 0.5) if troubled else ("default", 0.01)
        variant = "candidate" if rng.random() < share else "control"
        book.events(variant, rng.random() < (0.1 if troubled else 0.01), 1, rule=rule)
        helped = rng.random() < (0.3 if troubled else 0.7)
        book.value(variant, "helpful", float(helped), rule=rule)
        if variant == "candidate":
            seen += 1
            if is_look(seen):
                yield seen


def events_design(rate: float) -> Design:
    """One guardrail on errors, of which control has 2 %."""
    return Design(plan_of(FOUR_METRICS[0]), partial(_events, rate=rate, split=0.05))


def common_events_design() -> Design:
    """Events as common as the rate engine is meant for, where it is least exact."""
    traffic = partial(_events, base=0.1, rate=0.1, split=0.5)
    return Design(plan_of(FOUR_METRICS[0]), traffic)


def dead_design() -> Design:
    """A candidate that answers nothing, at the smallest split and share of alpha."""
    plan = plan_of(FOUR_METRICS[0], alpha=0.05 / 44)
    return Design(plan, partial(_events, rate=1.0, split=0.01))


def _events(
    rng: Random, book: Book, *, rate: float, split: float, base: float = 0.02
) -> Iterator[int]:
    seen = 0
    while seen < MOST:
        if rng.random() >= split:
            book.events("control", rng.random() < base, 1)
            continue
        seen += 1
        book.events("candidate", rng.random() < rate, 1)
        if is_look(seen):
            yield seen


def proportion_design() -> Design:
    """One guardrail on a common proportion."""
    return Design(plan_of(FOUR_METRICS[3]), _proportion)


def _proportion(rng: Random, book: Book) -> Iterator[int]:
    seen = 0
    while seen < MOST:
        if rng.random() >= 0.05:
            book.value("control", "helpful", float(rng.random() < 0.5))
            continue
        seen += 1
        book.value("candidate", "helpful", float(rng.random() < 0.45))
        if is_look(seen):
            yield seen


def cohort_design() -> Design:
    """One small cohort is harmed; the other cohorts and metrics are well."""
    return Design(plan_of(*FOUR_METRICS, segments=SEGMENTS), _small_cohort)


def _small_cohort(rng: Random, book: Book) -> Iterator[int]:
    seen = 0
    while seen < MOST // 4:
        hurt = rng.random() < 0.03
        cohort = f"segment={SEGMENTS[0] if hurt else rng.choice(SEGMENTS[1:])}"
        variant = "candidate" if rng.random() < 0.1 else "control"
        rate = 0.4 if hurt and variant == "candidate" else 0.5
        book.value(variant, "helpful", float(rng.random() < rate), cohort=cohort)
        if hurt and variant == "candidate":
            seen += 1
            if seen % 25 == 0:
                yield seen
