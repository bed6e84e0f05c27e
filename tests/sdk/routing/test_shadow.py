from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason as Said

from benches import USER, Bench
from flipback.assignment import Reason
from flipback.exposure import BUCKETS
from flipback.routing import Route
from flipback.routing._shadow import in_sample
from shadows import OpenStage, pairs, subject_of


def test_control_answers_and_then_the_candidate_does_with_the_same_arguments(
    stage: OpenStage,
) -> None:
    shadows = stage()
    asked: list[tuple[str, object]] = []
    route: Route[..., Any] = shadows.bench.route
    document = ["a", "b"]

    def answers(name: str) -> Callable[..., str]:
        def answer(text: object, *, user: str, variant: str, served: str) -> str:
            asked.append((name, (text, user, variant, served)))
            return name

        return answer

    for name in ("v1", "v2"):
        shadows.bench.serve(name, answers(name))
    served = route.call(USER, document, user="a", variant="b", served="c")
    assert served == "v1"
    assert [name for name, _ in asked] == ["v1"]
    shadows.answered()
    assert [name for name, _ in asked] == ["v1", "v2"]
    assert asked[0][1] == asked[1][1]
    assert asked[1][1][0] is document  # type: ignore[index] # a tuple


def test_nobody_is_exposed_and_both_answers_are_a_pair(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.call()
    shadows.answered()
    seen = shadows.bench.drained()
    assert seen.exposures() == {}
    assert seen.excluded == {"static": 1}
    assert seen.means() == {
        ("v1", "error+paired"): (1, 0.0),
        ("v2", "error+paired"): (1, 0.0),
        ("v2", "error+difference"): (1, 0.0),
        ("v1", "latency_s+paired"): (1, 0.0),
        ("v2", "latency_s+paired"): (1, 0.0),
        ("v2", "latency_s+difference"): (1, 0.0),
    }
    assert seen.cohorts == {"", "plan=enterprise"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [("v2", Said.TARGETING_MATCH), ("v1", Said.SPLIT), ("v3", Said.STATIC)],
    ids=["pinned to the candidate", "split", "other variant"],
)
def test_only_what_the_flag_gives_to_control_without_a_split_is_shadowed(
    stage: OpenStage, said: str, reason: str
) -> None:
    shadows = stage()
    shadows.bench.serve("v3", lambda: "v3")
    shadows.bench.say(said, reason)
    shadows.bench.call()
    shadows.answered()
    assert pairs(shadows.bench) == {}


def test_a_flag_that_splits_is_said_to_be_no_shadow_stage(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.say("v1", Said.SPLIT)
    shadows.bench.call()
    assert shadows.bench.kinds == {}, "a rollout moves a moment before its flag"
    shadows.bench.clock.advance(5)
    shadows.bench.call()
    assert shadows.bench.kinds == {"a split is not shadowed": 1}


@pytest.mark.parametrize(
    "parts",
    [
        {"override": Reason.KILLED},
        {"override": Reason.FORCED},
        {"override": Reason.NOT_READY},
        {"killed": frozenset({"plan=enterprise"})},
        {"shadow": 0.0},
    ],
    ids=str,
)
def test_nothing_is_shadowed_that_is_overridden(
    stage: OpenStage, parts: dict[str, object]
) -> None:
    shadows = stage()
    shadows.stand(**parts)
    shadows.bench.call()
    shadows.stand(override=None, killed=frozenset(), shadow=1.0)
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_a_subject_without_a_key_is_not_shadowed(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.call(EvaluationContext())
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_a_control_by_our_own_doubt_is_not_shadowed(stage: OpenStage) -> None:
    shadows = stage()
    shadows.bench.say("a name that nobody knows")
    shadows.bench.call()
    shadows.answered()
    assert shadows.bench.served == ["v1"]


def test_without_a_candidate_there_is_nobody_to_ask(stage: OpenStage) -> None:
    shadows = stage()
    del shadows.bench.functions["v2"]
    shadows.bench.call()
    shadows.answered()
    assert shadows.bench.served == ["v1"]


subjects = st.integers(min_value=0, max_value=2**64 - 1)
shares = st.floats(min_value=0, max_value=1)


@given(subjects, shares, shares)
def test_a_share_that_grows_keeps_its_subjects(
    subject: int, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    assert in_sample(subject, large) or not in_sample(subject, small)


@given(subjects, st.integers(0, BUCKETS - 1), shares)
def test_a_bucket_says_nothing_of_the_sample(
    subject: int, bucket: int, share: float
) -> None:
    moved = subject - subject % BUCKETS + bucket
    assert in_sample(moved, share) == in_sample(subject, share)


def test_a_share_of_one_is_everybody_and_of_none_nobody() -> None:
    for subject in (0, 1, 2**32, 2**64 - 1):
        assert in_sample(subject, 1.0)
        assert not in_sample(subject, 0.0)


def test_a_sample_is_as_large_as_its_share_in_every_bucket(bench: Bench) -> None:
    hashes = [subject_of(bench, f"user-{n}") for n in range(20_000)]
    for half in (0, 1):
        of_half = [each for each in hashes if each % 2 == half]
        taken = sum(in_sample(each, 0.1) for each in of_half)
        assert taken / len(of_half) == pytest.approx(0.1, abs=0.012)


def test_the_same_subjects_are_shadowed_in_every_process(stage: OpenStage) -> None:
    users = [EvaluationContext(f"user-{n}", {"plan": "free"}) for n in range(40)]

    def shadowed() -> list[int]:
        shadows, times = stage(share=0.3), list[int]()
        for user in users:
            shadows.bench.call(user)
            shadows.answered()
            times.append(shadows.bench.served.count("v2"))
        return times

    assert shadowed() == shadowed()
