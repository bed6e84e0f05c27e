from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipback.assignment import EVERYBODY, Reason
from flipback.errors import ConfigError, FlagProblem, FlagWriteError, Mistake
from flipback.verdict import Finding, Verdict, combine


PASS, FAIL, DOUBT = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
FINDING = Finding(
    metric="error",
    cohort=EVERYBODY,
    verdict=DOUBT,
    log_e=0.0,
    peak_log_e=0.0,
    weight=1.0,
    control_n=10,
    candidate_n=10,
    control_value=0.1,
    candidate_value=0.15,
    interval=None,
    deff=1.0,
    strata=1,
    engine="rate",
)


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [
        ([], DOUBT),
        ([PASS], PASS),
        ([PASS, PASS], PASS),
        ([DOUBT], DOUBT),
        ([PASS, DOUBT], DOUBT),
        ([FAIL], FAIL),
        ([PASS, DOUBT, FAIL], FAIL),
    ],
)
def test_one_fail_fails_and_any_doubt_remains_a_doubt(
    verdicts: list[Verdict], combined: Verdict
) -> None:
    assert combine(verdicts) is combined


@given(st.lists(st.sampled_from(Verdict)))
def test_order_and_repetition_change_no_verdict(verdicts: list[Verdict]) -> None:
    assert combine(verdicts) is combine(reversed(verdicts + verdicts))


@given(st.lists(st.sampled_from(Verdict)), st.sampled_from(Verdict))
def test_nothing_that_is_added_turns_a_doubt_into_a_pass(
    verdicts: list[Verdict], added: Verdict
) -> None:
    if verdicts and combine(verdicts) is not PASS:
        assert combine([*verdicts, added]) is not PASS


def test_an_effect_is_relative_to_control() -> None:
    assert FINDING.relative_effect == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("control", "candidate"), [(None, 0.1), (0.1, None), (0.0, 0.1)]
)
def test_an_effect_without_a_meaning_is_none(
    control: float | None, candidate: float | None
) -> None:
    finding = replace(FINDING, control_value=control, candidate_value=candidate)
    assert finding.relative_effect is None


def test_a_configuration_error_carries_every_mistake() -> None:
    mistakes = [
        Mistake(
            file="a.toml", table=table, key="x", problem="is wrong", remedy="fix it"
        )
        for table in ("", "guard")
    ]
    error = ConfigError(mistakes)
    assert error.mistakes == tuple(mistakes)
    assert str(error) == (
        "a.toml: x: is wrong; fix it\na.toml: [guard] x: is wrong; fix it"
    )


def test_a_refused_write_says_of_what_kind_it_is() -> None:
    error = FlagWriteError("slow down", kind=FlagProblem.RATE_LIMITED, retry_after_s=2)
    assert (str(error), error.kind, error.retry_after_s) == (
        "slow down",
        "rate limited",
        2,
    )


def test_no_two_reasons_are_spelled_alike() -> None:
    """They are keys of counts; an alias would join two of them."""
    assert len(Reason) == len(Reason.__members__) == 17
