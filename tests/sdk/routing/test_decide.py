import logging
import threading
from collections.abc import Callable

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.hook import Hook, HookContext
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    TransactionContextPropagator,
    set_transaction_context_propagator,
)
from typing_extensions import override

from benches import USER, Bench, fails, says
from flipback.assignment import Reason, Role
from flipback.routing import Standing


Build = Callable[..., Bench]
NOBODY = EvaluationContext()


def assert_control_in_doubt(
    bench: Bench, reason: str, caplog: pytest.LogCaptureFixture
) -> str:
    """Call three times: control serves, excluded and counted, and logged once."""
    with caplog.at_level(logging.WARNING, logger="flipback"):
        assert [bench.call() for _ in range(3)] == ["v1"] * 3
    seen = bench.drained()
    assert seen.excluded == {reason: 3}
    assert seen.batch.cells == {}
    assert bench.kinds == {reason: 3}
    (logged,) = [r for r in caplog.records if r.name == "flipback"]
    return logged.getMessage()


@pytest.mark.parametrize(
    "override", [Reason.KILLED, Reason.FORCED, Reason.NOT_READY], ids=str
)
def test_an_override_is_obeyed_before_the_flag_is_asked(
    bench: Bench, override: Reason
) -> None:
    bench.switch.standing = Standing(override=override, trip=1)
    assert bench.call() == "v1"
    assert bench.provider.asked == 0
    assert bench.drained().excluded == {override.value: 1}


def test_a_route_whose_latches_were_never_read_serves_control(bench: Bench) -> None:
    bench.switch.standing = Standing()
    assert bench.route.decide(USER).assignment.reason is Reason.NOT_READY


def test_a_split_decides_and_says_by_what(bench: Bench) -> None:
    made = bench.route.decide(USER).assignment
    assert (made.variant, made.role, made.reason, made.randomized) == (
        "v2",
        Role.CANDIDATE,
        Reason.SPLIT,
        True,
    )
    assert (made.flag_key, made.flag_version, made.rule, made.provider) == (
        "support-model",
        "1",
        "all",
        "told",
    )
    assert (made.attempt, made.stage, made.cohorts) == (1, 0, ("plan=enterprise",))
    assert made.epoch
    assert made.subject


def test_the_standing_gives_attempt_and_stage(bench: Bench) -> None:
    bench.switch.standing = Standing(override=None, attempt=3, stage=1)
    made = bench.route.decide(USER).assignment
    assert (made.attempt, made.stage) == (3, 1)


def test_decisions_have_names_of_their_own(bench: Bench) -> None:
    names = {bench.route.decide(USER).assignment.decision_id for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_what_the_code_does_not_know_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.say("v3")
    logged = assert_control_in_doubt(bench, "unknown_variant", caplog)
    assert "flag 'support-model' says 'v3', which has no code" in logged


def test_a_subject_without_a_targeting_key_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="flipback"):
        assert [bench.call(NOBODY), bench.call(EvaluationContext(""))] == ["v1", "v1"]
    assert bench.provider.asked == 0
    assert bench.drained().excluded == {"targeting_key_missing": 2}
    assert bench.kinds == {"targeting_key_missing": 2}
    assert "pass EvaluationContext('user-id')" in caplog.text


def test_a_subject_without_the_unit_is_control_and_told_which_attribute(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    bench = build(plan={"unit": "tenant"})
    logged = assert_control_in_doubt(bench, "targeting_key_missing", caplog)
    assert "or no attribute 'tenant', the unit" in logged


def test_all_users_of_one_unit_are_one_subject(build: Build) -> None:
    bench = build(plan={"unit": "tenant"})
    users = [EvaluationContext(f"user-{n}", {"tenant": "acme"}) for n in range(3)]
    assert len({bench.route.decide(user).assignment.subject for user in users}) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.FLAG_NOT_FOUND, "flag_not_found"),
        (ErrorCode.TYPE_MISMATCH, "type_mismatch"),
        (ErrorCode.TARGETING_KEY_MISSING, "targeting_key_missing"),
        (ErrorCode.PROVIDER_NOT_READY, "provider_not_ready"),
        (ErrorCode.PARSE_ERROR, "error"),
        (ErrorCode.GENERAL, "error"),
    ],
    ids=str,
)
@pytest.mark.parametrize("message", ["no segment for alice@example.com", "", None])
def test_an_error_of_the_provider_is_control_and_its_message_is_not_logged(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    code: ErrorCode,
    reason: str,
    message: str | None,
) -> None:
    bench.provider.answer = lambda _: fails(code, message)
    logged = assert_control_in_doubt(bench, reason, caplog)
    told = f"flag 'support-model': the provider answered {code.value}"
    assert (f"{told}; its message is logged at DEBUG" if message else told) in logged
    assert "alice" not in caplog.text


def test_a_provider_that_never_initializes_is_control(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    bench, forever = build(bind=False), threading.Event()
    bench.provider.initialize = lambda _: forever.wait() and None  # type: ignore[method-assign]
    api.set_provider(bench.provider, bench.domain)
    logged = assert_control_in_doubt(bench, "provider_not_ready", caplog)
    forever.set()
    assert "the provider answered PROVIDER_NOT_READY" in logged
    assert bench.provider.asked == 0


def test_a_provider_that_explodes_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(_: EvaluationContext) -> FlagResolutionDetails[str]:
        raise KeyError("no segment for alice@example.com")

    bench.provider.answer = explode
    logged = assert_control_in_doubt(bench, "error", caplog)
    assert "the provider answered GENERAL; its message is logged at DEBUG" in logged
    assert "alice" not in logged


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.usefixtures("world")
def test_a_hook_that_explodes_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    class Exploding(Hook):
        pass

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("a hook's bug")

    setattr(Exploding, stage, explode)
    api.add_hooks([Exploding()])
    assert "answered GENERAL" in assert_control_in_doubt(bench, "error", caplog)


@pytest.mark.usefixtures("world")
def test_a_propagator_that_explodes_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    class Exploding(TransactionContextPropagator):
        @override
        def get_transaction_context(self) -> EvaluationContext:
            raise RuntimeError("a propagator's bug")

        @override
        def set_transaction_context(
            self, transaction_context: EvaluationContext
        ) -> None: ...

    set_transaction_context_propagator(Exploding())
    assert_control_in_doubt(bench, "flipback_fault", caplog)
    assert bench.route() == "v1"


def test_metadata_of_a_provider_that_explodes_is_control(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise RuntimeError("no name")

    bench.provider.get_metadata = explode  # type: ignore[method-assign, assignment]
    assert "RuntimeError" in assert_control_in_doubt(bench, "flipback_fault", caplog)


def test_a_start_that_explodes_is_control(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise RuntimeError("no threads left")

    bench = build(ready=explode)
    assert "RuntimeError" in assert_control_in_doubt(bench, "flipback_fault", caplog)


def test_a_user_that_is_none_is_control(bench: Bench) -> None:
    nothing: EvaluationContext = None  # type: ignore[assignment]
    assert bench.call(nothing) == "v1"
    assert bench.drained().excluded == {"flipback_fault": 1}


BOOLEAN = {"true": "v2", "false": "v1"}
INTEGER = {"1": "v1", "2": "v2"}
FLOAT = {"0.5": "v1", "1.25": "v2"}


@pytest.mark.parametrize(
    ("plan", "control", "candidate"),
    [
        ({}, "v1", "v2"),
        ({"values": {"old": "v1", "new": "v2"}}, "old", "new"),
        ({"values": BOOLEAN}, False, True),
        ({"values": INTEGER}, 1, 2),
        ({"values": FLOAT}, 0.5, 1.25),
        ({"variant_key": "model"}, {"model": "v1"}, {"model": "v2", "heat": 1}),
        ({"variant_key": "on", "values": BOOLEAN}, {"on": False}, {"on": True}),
    ],
    ids=["string", "mapped", "boolean", "integer", "float", "object", "mapped object"],
)
def test_a_flag_of_any_type_names_a_variant(
    build: Build,
    plan: dict[str, object],
    control: FlagValueType,
    candidate: FlagValueType,
) -> None:
    bench = build(plan=plan)
    for value, variant in ((control, "v1"), (candidate, "v2")):
        bench.say(value)
        assert bench.call() == variant
    assert bench.drained().exposures() == {"v1": 1, "v2": 1}


@pytest.mark.parametrize(
    ("plan", "value"),
    [
        ({}, 3),
        ({"values": BOOLEAN}, "true"),
        ({"values": INTEGER}, "2"),
        ({"values": FLOAT}, "1.25"),
        ({"variant_key": "model"}, "v2"),
    ],
    ids=["string", "boolean", "integer", "float", "object"],
)
def test_a_value_of_another_type_is_control(
    build: Build,
    caplog: pytest.LogCaptureFixture,
    plan: dict[str, object],
    value: FlagValueType,
) -> None:
    bench = build(plan=plan)
    bench.say(value)
    assert_control_in_doubt(bench, "type_mismatch", caplog)


@pytest.mark.parametrize("value", [{}, {"model": None}, {"modell": "v2"}], ids=str)
def test_an_object_that_names_no_variant_is_control_and_not_compared(
    build: Build, caplog: pytest.LogCaptureFixture, value: FlagValueType
) -> None:
    """Else the candidate's share would be booked as control's."""
    bench = build(plan={"variant_key": "model"})
    bench.say(value)
    logged = assert_control_in_doubt(bench, "unknown_variant", caplog)
    assert "give it the member 'model'" in logged


def test_another_variant_is_served_and_never_compared(bench: Bench) -> None:
    bench.serve("v3", lambda: "third")
    bench.say("v3")
    assert bench.route.decide(USER).role is Role.OTHER
    assert bench.call() == "third"
    seen = bench.drained()
    assert seen.excluded == {"other_variant": 1}
    assert seen.batch.cells == {}


@pytest.mark.parametrize(
    "reason",
    ["STATIC", "DEFAULT", "TARGETING_MATCH", "DISABLED", "CACHED", "STALE", "UNKNOWN"],
)
def test_only_a_split_is_compared(bench: Bench, reason: str) -> None:
    bench.say("v2", reason)
    assert bench.call() == "v2"
    seen = bench.drained()
    assert (seen.batch.cells, seen.excluded) == ({}, {reason.lower(): 1})
    assert bench.kinds == {}


@pytest.mark.parametrize("reason", ["KILLED", "FORCED_CONTROL", "RULE_MATCH", "", None])
def test_a_word_that_is_not_openfeatures_is_no_reason_of_ours(
    bench: Bench, reason: str
) -> None:
    bench.say("v2", reason)
    assert bench.route.decide(USER).assignment.reason is Reason.UNKNOWN


@pytest.mark.parametrize(
    ("attributes", "cohort"),
    [
        ({"plan": "free"}, "plan=free"),
        ({"plan": "trial"}, "plan=other"),
        ({"plan": "other"}, "plan=other"),
        ({"plan": ["free"]}, "plan=other"),
        ({"plan": True}, "plan=true"),
        ({"plan": 3}, "plan=3"),
        ({}, "plan=(none)"),
    ],
    ids=str,
)
def test_a_cohort_is_a_declared_value_or_a_pool(
    build: Build, attributes: dict[str, object], cohort: str
) -> None:
    bench = build(plan={"cohorts": {"plan": ["free", "true", "3"]}})
    bench.call(EvaluationContext("user-1", attributes))  # type: ignore[arg-type]
    assert bench.drained().cohorts == {"", cohort}


@pytest.mark.usefixtures("world")
def test_cohorts_see_the_attributes_that_the_flag_sees(bench: Bench) -> None:
    flag_saw = list[EvaluationContext]()

    def answer(context: EvaluationContext) -> FlagResolutionDetails[str]:
        flag_saw.append(context)
        return says("v2")

    bench.provider.answer = answer
    propagator = ContextVarsTransactionContextPropagator()
    set_transaction_context_propagator(propagator)
    api.set_evaluation_context(EvaluationContext("nobody", {"plan": "free"}))
    everywhere = bench.route.decide(EvaluationContext("user-1")).assignment
    propagator.set_transaction_context(EvaluationContext("me", {"plan": "enterprise"}))
    request = bench.route.decide(EvaluationContext("user-1")).assignment
    call = bench.route.decide(EvaluationContext("user-1", {"plan": "free"})).assignment
    assert [each.cohorts for each in (everywhere, request, call)] == [
        (f"plan={context.attributes['plan']}",) for context in flag_saw
    ]
    nameless = bench.route.decide(EvaluationContext()).assignment
    named = bench.route.decide(EvaluationContext("me")).assignment
    assert nameless.subject == named.subject
    assert flag_saw[-2].targeting_key == "me"


@pytest.mark.usefixtures("world")
def test_a_hook_still_sees_every_evaluation(bench: Bench) -> None:
    keys = list[str]()

    class Listening(Hook):
        @override
        def finally_after(
            self, hook_context: HookContext, details: object, hints: object
        ) -> None:
            keys.append(hook_context.flag_key)

    api.add_hooks([Listening()])
    assert bench.call() == "v2"
    assert keys == ["support-model"]
