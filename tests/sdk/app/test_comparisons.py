"""What is compared with what: one version of the candidate with one of control."""

from collections.abc import Callable

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback.assignment import EVERYBODY
from flipback.verdict import Finding
from projects import ROUTE, CreateProject, Project


PLAN = {"cohorts": None}


def serve(
    project: Project, *, version: str, resolves: Callable[[int], bool], calls: int
) -> flipback.Look:
    """Serve with this candidate, as a deploy of its own would, and look."""
    with flipback.Router.from_config(project.config) as router:
        route: flipback.Route[[int], None] = router.route(ROUTE)

        @route.variant("v1", version="1")
        def control(number: int) -> None:
            flipback.record("resolved", number % 20 != 0)

        @route.variant("v2", version=version)
        def candidate(number: int) -> None:
            flipback.record("resolved", resolves(number))

        for number in range(calls):
            route.call(EvaluationContext(f"{version}-{number}"), number)
        (look,) = router.guard.look()
    return look


def good(number: int) -> bool:
    return number % 20 != 0


def broken(number: int) -> bool:
    return number % 4 != 0


def resolved(look: flipback.Look) -> Finding:
    return next(
        finding
        for finding in look.analysis.findings
        if finding.metric == "resolved" and finding.cohort == EVERYBODY
    )


def test_a_broken_version_does_not_hide_behind_the_good_one_before_it(
    project: CreateProject,
) -> None:
    folder = project(plan=PLAN)
    before = serve(folder, version="good-1", resolves=good, calls=4_000)
    assert before.kill is None
    after = serve(folder, version="broken-2", resolves=broken, calls=1_000)
    assert after.kill is not None
    assert resolved(after).candidate_n < 1_000


def test_a_mended_version_does_not_pay_for_the_broken_one_before_it(
    project: CreateProject,
) -> None:
    folder = project(plan=PLAN)
    serve(folder, version="broken-1", resolves=broken, calls=40)
    mended = serve(folder, version="mended-2", resolves=good, calls=400)
    assert resolved(mended).candidate_n < 400


def test_a_version_that_is_deployed_again_goes_on_with_its_own_evidence(
    project: CreateProject,
) -> None:
    folder = project(plan=PLAN)
    first = serve(folder, version="1", resolves=good, calls=200)
    serve(folder, version="2", resolves=good, calls=200)
    again = serve(folder, version="1", resolves=good, calls=0)
    assert resolved(again).candidate_n == resolved(first).candidate_n


def test_a_ramp_of_the_same_version_adds_up(project: CreateProject) -> None:
    folder = project(plan=PLAN)
    first = serve(folder, version="1", resolves=good, calls=200)
    folder.write_flag({"v1": 25, "v2": 75})
    ramped = serve(folder, version="1", resolves=good, calls=200)
    assert resolved(ramped).candidate_n > resolved(first).candidate_n
    assert resolved(ramped).strata == 2


@pytest.mark.parametrize("value", [1e200, -1e200, 1.7e308])
def test_no_single_value_disarms_the_guard(
    project: CreateProject, value: float
) -> None:
    folder = project(plan=PLAN, guard={"run": "thread"})
    with flipback.Router.from_config(folder.config) as router:
        route: flipback.Route[[], str] = router.route(ROUTE)
        route.variant("v1", version="1")(lambda: "v1")

        @route.variant("v2", version="1")
        def candidate() -> str:
            raise RuntimeError("broken")

        receipt = route.decide(EvaluationContext("user")).expose()
        router.record(receipt, "resolved", value)
        for number in range(400):
            route.call(EvaluationContext(f"user-{number}"))
        looks = router.guard.look()
        assert (
            looks[0].kill is not None
            or route.decide(EvaluationContext("user")).assignment.reason
            is flipback.Reason.KILLED
        )
