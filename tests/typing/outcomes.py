"""What type checkers accept of contexts, outcomes and verdicts; see `routes`."""

from pathlib import Path
from typing import assert_type

from openfeature.evaluation_context import EvaluationContext

import flipback
from flipback import Finding, Look, Router, Verdict


def a_context_is_a_block(user: EvaluationContext) -> None:
    with flipback.context(user) as same:
        assert_type(same, EvaluationContext)
    with flipback.context("user-1"):  # type: ignore[arg-type]
        pass


def outcomes_are_numbers() -> None:
    assert_type(flipback.record("resolved", 1), bool)
    flipback.record("resolved", True)  # noqa: FBT003 - a bool is an outcome
    flipback.record("resolved", "1")  # type: ignore[arg-type]
    flipback.record("resolved", None)  # type: ignore[arg-type]
    flipback.record("resolved")  # type: ignore[call-arg]


def a_receipt_may_be_none(router: Router) -> None:
    receipt = flipback.receipt()
    assert_type(receipt, str | None)
    router.record(receipt, "resolved", 1)  # type: ignore[arg-type]
    if receipt is not None:
        assert_type(router.record(receipt, "resolved", 1), bool)


def a_router_comes_from_a_file() -> None:
    assert_type(Router.from_config(), Router)
    assert_type(Router.from_config("flipback.toml"), Router)
    with Router.from_config(Path("flipback.toml")) as router:
        assert_type(router, Router)
        assert_type(router.flush(), bool)
        assert_type(router.guard.look(), tuple[Look, ...])


def a_router_of_a_subclass_is_one() -> None:
    class Mine(Router):
        pass

    assert_type(Mine.from_config(), Mine)
    with Mine.from_config() as mine:
        assert_type(mine, Mine)


def there_are_three_verdicts(finding: Finding) -> str:
    match finding.verdict:
        case Verdict.PASS:
            return "proof of no harm"
        case Verdict.FAIL:
            return "proof of harm"
        case Verdict.INCONCLUSIVE:
            return "neither"


def a_finding_cannot_be_changed(finding: Finding) -> None:
    finding.verdict = Verdict.PASS  # type: ignore[misc]


def errors_have_one_base() -> flipback.FlipbackError:
    try:
        raise flipback.RouteError("no")
    except flipback.FlipbackError as error:
        return error
