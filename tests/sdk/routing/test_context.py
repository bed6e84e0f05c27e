import asyncio
import threading
from collections.abc import Callable

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    set_transaction_context_propagator,
)

import flipback
from benches import FREE, USER, Bench
from flipback.assignment import Reason
from flipback.routing import Standing


Build = Callable[..., Bench]
KILLED = Standing(override=Reason.KILLED, era=1)
RELEASED = Standing(override=None, era=1)


def test_a_conversation_keeps_its_variant_while_the_split_moves(bench: Bench) -> None:
    with flipback.context(USER):
        first = bench.route()
        bench.say("v1")
        assert (first, bench.route()) == ("v2", "v2")
        assert bench.route.decide(USER).variant == "v2"
        assert bench.provider.asked == 1
    with flipback.context(USER):
        assert bench.route() == "v1"


def test_a_conversation_obeys_a_kill(bench: Bench) -> None:
    with flipback.context(USER):
        assert bench.route() == "v2"
        bench.switch.standing = KILLED
        assert bench.route() == "v1"


def test_a_release_brings_back_no_answer_from_before_the_kill(bench: Bench) -> None:
    """The flag serves control by then, and a conversation may be long."""
    with flipback.context(USER):
        assert bench.route() == "v2"
        bench.switch.standing = KILLED
        bench.say("v1", "STATIC")
        bench.switch.standing = RELEASED
        assert bench.route() == "v1"


def test_another_user_inside_is_asked_for_on_its_own(bench: Bench) -> None:
    with flipback.context(USER):
        bench.route()
        bench.say("v1")
        assert bench.route.call(EvaluationContext("user-2")) == "v1"
        with flipback.context(EvaluationContext("user-3")):
            assert bench.route() == "v1"
        assert bench.route() == "v2"


def test_routes_are_remembered_apart(build: Build) -> None:
    first, second = build(), build()
    second.say("v1")
    with flipback.context(USER) as user:
        assert user is USER
        assert (first.route(), second.route()) == ("v2", "v1")


def test_without_a_context_nobody_is_asking(bench: Bench) -> None:
    assert bench.route() == "v1"
    assert bench.drained().excluded == {"targeting_key_missing": 1}


@pytest.mark.usefixtures("world")
def test_the_transaction_context_of_openfeature_works(bench: Bench) -> None:
    set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    api.set_transaction_context(EvaluationContext("user-9", {"plan": "free"}))
    assert bench.route() == "v2"
    assert bench.drained().exposures("plan=free") == {"v2": 1}


def test_tasks_and_to_thread_inherit_the_context(bench: Bench) -> None:
    async def request(user: EvaluationContext) -> list[str]:
        with flipback.context(user):
            task = asyncio.create_task(asyncio.to_thread(bench.route))
            return [await task, await asyncio.to_thread(bench.route), bench.route()]

    async def server() -> list[list[str]]:
        users = [EvaluationContext(f"user-{n}") for n in range(4)]
        return await asyncio.gather(*map(request, users))

    assert asyncio.run(server()) == [["v2"] * 3] * 4
    assert bench.provider.asked == 4


def test_a_bare_thread_does_not_inherit_the_context(bench: Bench) -> None:
    with flipback.context(USER):
        thread = threading.Thread(target=bench.route)
        thread.start()
        thread.join()
    assert bench.drained().excluded == {"targeting_key_missing": 1}


def test_the_context_ends_with_the_block_even_if_that_raises(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), flipback.context(USER):
        raise ZeroDivisionError
    assert bench.route() == "v1"


def test_the_receipt_of_another_request_is_not_handed_out(bench: Bench) -> None:
    """Threads of a pool serve one user after the other."""
    with flipback.context(USER):
        bench.route()
        assert flipback.receipt() is not None
    assert flipback.receipt() is not None
    with flipback.context(EvaluationContext("user-2")):
        assert flipback.receipt() is None


def test_the_standing_is_read_once_per_decision(bench: Bench) -> None:
    """Half of one and half of another standing would be an epoch that never was."""
    bench.switch.standing = FREE
    before = bench.route.decide(USER).assignment
    bench.switch.standing = Standing(override=None, era=2, attempt=2)
    after = bench.route.decide(USER).assignment
    assert (before.attempt, after.attempt) == (1, 2)
    assert before.epoch != after.epoch
