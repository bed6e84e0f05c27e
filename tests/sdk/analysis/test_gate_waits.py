from datetime import timedelta

import pytest
from tests.sdk.analysis._booked import Traffic, plan_of

from flipback.analysis import analyze, gate
from flipback.exposure import Evidence
from flipback.plan import RolloutPlan
from flipback.verdict import Verdict


SCORE = {"metric": "score", "fails_on": "decrease", "tolerance": 0.5}
NOTHING = Evidence(cells={}, subjects={}, excluded={})


def passing(plan: RolloutPlan, *, count: int = 600, **where: object) -> Evidence:
    """Return evidence with which every guardrail passes."""
    traffic = Traffic(plan)
    rng = traffic.rng
    for variant in ("control", "candidate"):
        traffic.calls(variant, count, lambda: {"score": rng.gauss(10, 2)}, **where)  # type: ignore[arg-type] # where they are
    return traffic.evidence


def staged(**stage: object) -> RolloutPlan:
    return plan_of(SCORE, stages=[{"weight": 5, **stage}, {"weight": 50}])


def test_with_nothing_to_wait_for_it_passes() -> None:
    plan = staged()
    assert gate(plan, passing(plan), weight=5).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("elapsed", "said"),
    [(None, "not known"), (timedelta(hours=23), "1h of it"), (timedelta(1), "")],
)
def test_a_window_is_waited_for(elapsed: timedelta | None, said: str) -> None:
    plan = staged(window="24h")
    found = gate(plan, passing(plan), weight=5, elapsed=elapsed)
    if said:
        assert found.verdict is Verdict.INCONCLUSIVE
        assert said in found.waits[0]
    else:
        assert (found.verdict, found.waits) == (Verdict.PASS, ())


def test_the_window_is_that_of_the_stage_in_force() -> None:
    plan = staged(window="24h")
    assert gate(plan, passing(plan), weight=50).waits == ()
    assert gate(plan, passing(plan), weight=20).waits != ()


def test_too_few_subjects_are_waited_for_overall_and_in_each_declared_cohort() -> None:
    stages = [{"weight": 5, "min_exposures": 700}]
    plan = plan_of({**SCORE, "cohorts": []}, segments=["new"], stages=stages)
    found = gate(plan, passing(plan), weight=5)
    assert found.waits == (
        "600 subjects have met the candidate, the stage asks for 700",
        "0 subjects of segment=new have met the candidate, the stage asks for 700",
    )
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_sample_of_subjects_stands_for_all_of_them() -> None:
    plan = staged(min_exposures=700)
    seen = passing(plan)
    half = Evidence(cells=seen.cells, subjects=seen.subjects, excluded={}, sampled=0.5)
    assert gate(plan, half, weight=5).waits == ()


def test_pairs_are_the_exposures_of_a_shadow_stage() -> None:
    stages = [{"shadow": 1.0, "min_exposures": 300}, {"weight": 5}]
    plan = plan_of(SCORE, stages=stages)
    traffic = Traffic(plan)
    for total, waits in ((200, 1), (100, 0)):
        for _ in range(total):
            value = traffic.rng.gauss(10, 2)
            traffic.tally.pair(traffic.seen("control"), "score", value, value)
        assert len(gate(plan, traffic.evidence, weight=0).waits) == waits


def test_a_person_may_be_asked_about_a_cohort_with_too_few_subjects() -> None:
    stages = [{"weight": 5, "min_exposures": 300}]
    plan = plan_of(SCORE, segments=["new"], stages=stages, undecided="ask")
    evidence = passing(plan, cohorts=("segment=new",), count=310)
    assert gate(plan, evidence, weight=5).asks == ()
    fewer = plan_of(
        SCORE,
        segments=["new", "rare"],
        stages=stages,
        undecided="ask",
    )
    assert gate(fewer, evidence, weight=5).asks == ("segment=rare",)


def test_a_split_that_is_not_as_set_holds() -> None:
    plan = staged()
    traffic = Traffic(plan)
    rng = traffic.rng
    for variant in ("control", "candidate"):
        traffic.calls(variant, 600, lambda: {"score": rng.gauss(10, 2)}, share=0.05)
    found = gate(plan, traffic.evidence, weight=5)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.waits[0] == analyze(plan, traffic.evidence).frozen[0]


def test_a_metric_that_one_arm_never_reports_holds() -> None:
    other = {"metric": "liked", "fails_on": "decrease", "on_fail": "warn"}
    plan = plan_of(SCORE, other)
    traffic = Traffic(plan)
    rng = traffic.rng
    traffic.calls("control", 600, lambda: {"score": rng.gauss(10, 2), "liked": 1.0})
    traffic.calls("candidate", 600, lambda: {"score": rng.gauss(10, 2)})
    found = gate(plan, traffic.evidence, weight=5)
    assert (found.verdict, len(found.waits)) == (Verdict.INCONCLUSIVE, 1)
    assert "liked" in found.waits[0]


@pytest.mark.parametrize("required", [True, False])
def test_a_hope_is_waited_for_only_where_it_is_required(*, required: bool) -> None:
    hope = {"metric": "score", "rises_by": 0.01, "required": required}
    plan = plan_of(SCORE, hypothesis=hope)
    traffic = Traffic(plan)
    rng = traffic.rng
    for variant in ("control", "candidate"):
        traffic.calls(variant, 30, lambda: {"score": rng.gauss(10, 1)})
    found = gate(plan, traffic.evidence, weight=5)
    assert bool(found.waits) is required


def test_a_hope_that_is_contradicted_makes_people_look() -> None:
    plan = plan_of(SCORE, hypothesis={"metric": "score", "rises_by": 0.5})
    found = gate(plan, passing(plan), weight=5)
    assert "pause because of what was hoped of score" in found.waits[0]


def test_a_limit_that_control_breaches_too_makes_people_look() -> None:
    limit = {"metric": "cost", "fails_on": "increase", "limit": 1}
    plan = plan_of(SCORE, limit)
    traffic = Traffic(plan)
    rng = traffic.rng
    for variant in ("control", "candidate"):
        traffic.calls(
            variant,
            600,
            lambda: {"score": rng.gauss(10, 2), "cost": rng.gauss(2, 0.3)},
        )
    found = gate(plan, traffic.evidence, weight=5)
    assert any("pause because of cost" in wait for wait in found.waits)


def test_an_analysis_of_the_same_look_is_taken_as_it_is() -> None:
    plan = staged()
    evidence = passing(plan)
    look = analyze(plan, evidence)
    assert gate(plan, evidence, weight=5, analysis=look) == gate(
        plan, evidence, weight=5
    )


def test_without_a_stage_that_is_reached_nothing_is_waited_for() -> None:
    assert gate(staged(window="24h"), NOTHING, weight=0).waits == ()


ASKING = plan_of(
    SCORE,
    segments=["new", "rare"],
    stages=[{"weight": 5, "min_exposures": 300}, {"weight": 100}],
    undecided="ask",
)


def test_a_person_takes_the_doubt_about_a_cohort_that_the_gate_asks_about() -> None:
    evidence = passing(ASKING, cohorts=("segment=new",), count=310)
    taken = gate(ASKING, evidence, weight=5, accepted=("segment=rare",))
    assert (taken.verdict, taken.waits) == (Verdict.PASS, ())
    assert taken.asks == ("segment=rare",)
    doubtful = [f for f in taken.findings if f.verdict is not Verdict.PASS]
    assert {finding.cohort for finding in doubtful} == {"segment=rare"}


@pytest.mark.parametrize("accepted", ["segment=new", "segment=no", ""])
def test_accepting_anybody_else_changes_nothing(accepted: str) -> None:
    evidence = passing(ASKING, cohorts=("segment=new",), count=310)
    plain = gate(ASKING, evidence, weight=5)
    assert gate(ASKING, evidence, weight=5, accepted=(accepted,)) == plain
    assert plain.verdict is Verdict.INCONCLUSIVE


def test_nobody_takes_a_doubt_that_the_plan_holds_for() -> None:
    holding = ASKING.model_copy(update={"undecided": "hold"})
    evidence = passing(holding, cohorts=("segment=new",), count=310)
    found = gate(holding, evidence, weight=5, accepted=("segment=rare",))
    assert found.verdict is Verdict.INCONCLUSIVE


def test_proven_harm_in_a_cohort_is_no_doubt_to_be_taken() -> None:
    errors = {"metric": "error", "fails_on": "increase", "tolerance": 1.0}
    plan = plan_of(errors, segments=["new"], undecided="ask")
    traffic = Traffic(plan)
    for cohorts, rate in (((), 0.0), (("segment=new",), 0.5)):
        count = 150 if rate else 20_000
        traffic.calls("control", count, lambda: {"error": 0.0}, cohorts=cohorts)
        traffic.calls(
            "candidate",
            count,
            lambda rate=rate: {"error": traffic.hits(rate)},
            cohorts=cohorts,
        )
    found = gate(plan, traffic.evidence, weight=5, accepted=("segment=new",))
    assert (found.verdict, found.asks) == (Verdict.FAIL, ())


def test_the_stage_that_is_named_is_in_force_though_the_holdback_hides_it() -> None:
    """The last stage asks for all, and the split stops short of it by the holdback."""
    plan = plan_of(SCORE, stages=[{"weight": 50}, {"weight": 100, "window": "24h"}])
    evidence = passing(plan)
    assert gate(plan, evidence, weight=95).waits == ()
    named = gate(plan, evidence, weight=95, stage=plan.stages[1])
    assert named.next_weight == 100
    assert "lasts 1d at least" in named.waits[0]


def test_the_weight_that_follows_is_that_of_the_stage_that_is_named() -> None:
    plan = plan_of(SCORE, stages=[{"weight": 5}, {"weight": 25}, {"weight": 50}])
    by_hand = gate(plan, NOTHING, weight=30, stage=plan.stages[0])
    assert by_hand.next_weight == 25
    shadow = plan_of(SCORE, stages=[{"shadow": 1.0}, {"weight": 5}])
    assert gate(shadow, NOTHING, weight=None, stage=shadow.stages[0]).next_weight == 5
