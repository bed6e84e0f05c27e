"""What a plan can decide on the traffic that there is, before anybody is exposed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from flipback.analysis import ALL, next_weight_after, tests_of
from flipback.assignment import Cohort
from flipback.plan import RolloutPlan, Stage
from flipback.power._laws import law_of
from flipback.power._question import NEVER_DAYS, Question
from flipback.power._remedies import Held, Remedy, remedy
from flipback.power._traffic import (
    DAY_S,
    Stretch,
    Traffic,
    flow_of,
    shares_of,
    stages_of,
)
from flipback.signals import Measure


USUAL_DAYS = 7.0
"""Within this time harm is to be caught in a stage that has no window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What one test can decide in one stage.

    Attributes:
        metric: The guarded metric.
        measure: What of it is weighed.
        cohort: `attribute=value`, or `EVERYBODY`.
        blocks: Whether its guardrail can hold the stage; one that warns cannot.
        margin: The relative harm that the gate must rule out, of a change the rise;
            None against a limit.
        passes_days: Days in the stage until the gate passes if the arms are alike;
            an even chance. 0 where the stages before suffice, infinite if never.
        harm: The smallest harm that the plan wants caught, relative to control or to
            the limit, tolerance included.
        catches_days: Days until harm of that size, present from the stage's first
            day, is attributed to this test; infinite if never.
        least_harm: The smallest harm that is caught in the time of `Stage.within_days`;
            infinite where none is.
    """

    metric: str
    measure: Measure
    cohort: Cohort
    blocks: bool
    margin: float | None
    passes_days: float
    harm: float
    catches_days: float
    least_harm: float

    @property
    def can_pass(self) -> bool:
        """Return whether it passes before `NEVER_DAYS` are over."""
        return self.passes_days <= NEVER_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePower:
    """What one stage takes.

    Attributes:
        stage: The stage, with the weight that is written: less than the plan's where
            the holdback is kept.
        next_weight: Percent of subjects that its gate opens, likewise.
        within_days: Its window, `USUAL_DAYS` where it has none; to these a metric
            whose outcomes come late adds the time until they have.
        lasts_days: Days until everything that blocks has passed, window and least
            exposures included; infinite where something never does.
        tests: One per guardrail, measure and cohort, in the plan's order.
    """

    stage: Stage
    next_weight: float
    within_days: float
    lasts_days: float
    tests: tuple[Prospect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a plan takes on some traffic.

    Attributes:
        stages: In the plan's order.
        lasts_days: Days until the last stage is left, infinite if never.
        shares: The share of each declared cohort that was reckoned with.
        remedies: One for each guardrail, measure and cohort that would hold a stage
            for ever, at the first stage where it does.
        unknown: Metrics that need a baseline and were given none; their tests are in
            no stage.
    """

    stages: tuple[StagePower, ...]
    lasts_days: float
    shares: Mapping[Cohort, float]
    remedies: tuple[Remedy, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def blind(self) -> tuple[Prospect, ...]:
        """Return each test whose harm no stage catches, where it catches most."""
        columns = zip(*[row.tests for row in self.stages], strict=True)
        return tuple(
            min(column, key=_least_harm)
            for column in columns
            if min(test.catches_days for test in column) > NEVER_DAYS
        )


def power(plan: RolloutPlan, traffic: Traffic) -> Power:
    """Return how long each stage takes and which harm it catches.

    For planning: baselines are never what was guessed, and a day is never like the
    other. Evidence of a stage is supposed to count in the stages after it; each
    stage lasts as long as its slowest test takes. One that would last for ever is
    taken to be left once all the tests that can pass have passed.
    """
    questions = list(_questions(plan, traffic))
    stages: list[StagePower] = []
    before: list[Stretch] = []
    for place, stage in enumerate(stages_of(plan)):
        opens = _opens(plan, place)
        row = _stage(plan, traffic, stage, questions, before, opens)
        stages.append(row)
        before.append(Stretch(stage, _left_after(row)))
    answered = {question.test.guardrail.metric for question in questions}
    wanted = dict.fromkeys(guardrail.metric for guardrail in plan.guardrails)
    return Power(
        stages=tuple(stages),
        lasts_days=sum(row.lasts_days for row in stages),
        shares=shares_of(plan, traffic),
        remedies=tuple(map(remedy, sorted(_held(plan, questions, stages), key=_place))),
        unknown=tuple(metric for metric in wanted if metric not in answered),
    )


def _questions(plan: RolloutPlan, traffic: Traffic) -> Iterator[Question]:
    for test in tests_of(plan):
        law = law_of(plan, traffic, test)
        if law is not None:
            flow = flow_of(plan, traffic, test)
            yield Question(
                plan=plan,
                test=test,
                law=law,
                flow=flow,
                calls_per_day=traffic.calls_per_day,
            )


def _stage(
    plan: RolloutPlan,
    traffic: Traffic,
    stage: Stage,
    questions: Sequence[Question],
    before: Sequence[Stretch],
    opens: float,
) -> StagePower:
    window = stage.window.total_seconds() / DAY_S
    within = window or USUAL_DAYS
    tests = [_test(each, stage, before, opens, within) for each in questions]
    passes = [test.passes_days for test in tests if test.blocks]
    slowest = max(passes, default=inf)
    return StagePower(
        stage=stage,
        next_weight=min(opens, ALL - plan.holdback),
        within_days=within,
        lasts_days=inf
        if slowest > NEVER_DAYS
        else max(slowest, window, _exposing(plan, traffic, stage)),
        tests=tuple(tests),
    )


def _opens(plan: RolloutPlan, place: int) -> float:
    """Return what the gate of a stage asks about: all, after the last one."""
    return next_weight_after(plan, plan.stages[place].weight or 0.0)


def _place(held: Held) -> int:
    return held.place


def _least_harm(test: Prospect) -> float:
    return test.least_harm


def _left_after(row: StagePower) -> float:
    if isfinite(row.lasts_days):
        return row.lasts_days
    passes = [t.passes_days for t in row.tests if t.blocks and t.can_pass]
    return max([*passes, row.stage.window.total_seconds() / DAY_S])


def _held(
    plan: RolloutPlan, questions: Sequence[Question], stages: Sequence[StagePower]
) -> Iterator[Held]:
    """Yield each test that blocks and never passes, where it first does so."""
    for number, question in enumerate(questions):
        for place, row in enumerate(stages):
            if question.blocks and not row.tests[number].can_pass:
                yield Held(place, row.stage, _opens(plan, place), question)
                break


def _test(
    question: Question,
    stage: Stage,
    before: Sequence[Stretch],
    opens: float,
    within: float,
) -> Prospect:
    test = question.test
    limited = test.guardrail.limit is not None
    late = 0.0 if stage.window else question.delay_days
    return Prospect(
        metric=test.guardrail.metric,
        measure=test.measure,
        cohort=test.cohort,
        blocks=question.blocks,
        margin=None if limited else question.side(question.sides[0], opens).margin,
        passes_days=question.passes(stage, next_weight=opens, before=before),
        harm=question.harm,
        catches_days=question.catches(stage, question.harm),
        least_harm=question.least_harm(stage, within + late),
    )


def _exposing(plan: RolloutPlan, traffic: Traffic, stage: Stage) -> float:
    """Return the days until the smallest cohort has as many subjects as it needs.

    In a shadow stage, which nobody meets the candidate in, these are calls.
    """
    if not stage.min_exposures:
        return 0.0
    share = stage.shadow if stage.weight is None else stage.weight / ALL
    fewest = min(shares_of(plan, traffic).values(), default=1.0) * (share or 0.0)
    calls_each = max(1.0, traffic.calls_per_subject_per_day)
    units = 1.0 if stage.weight is None else calls_each
    daily = traffic.calls_per_day / units * fewest
    return stage.min_exposures / daily if daily else inf
