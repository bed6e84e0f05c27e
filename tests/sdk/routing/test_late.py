"""An outcome by receipt is booked, or refused in words."""

import pytest

from benches import USER, Bench
from flipback.assignment import Reason
from flipback.exposure import Entry, LateOutcome
from flipback.routing import Standing, Ticket, _recorder


def ticket_of(bench: Bench) -> Ticket:
    return bench.parts.keyring.open(bench.route.decide(USER).expose())


def late(bench: Bench, ticket: Ticket) -> str:
    return bench.parts.late(ticket, "resolved", 1.0)


def test_a_late_outcome_is_booked_where_its_decision_was(bench: Bench) -> None:
    ticket = ticket_of(bench)
    entry = Entry("resolved@2592000", 3, 0.5, counts=True)
    made = LateOutcome.of(ticket, "resolved", [entry], expires_at=7.0)
    assert (made.decision_id, made.metric, made.expires_at, made.subject) == (
        ticket.decision_id,
        "resolved",
        7.0,
        ticket.subject,
    )
    where = ("support", 1, ticket.epoch, "all", 3, "resolved@2592000")
    assert made.entries == (
        ((*where, "", "v2"), entry),
        ((*where, "plan=enterprise", "v2"), entry),
    )
    assert made.distributed is None


def test_an_outcome_that_is_taken_has_no_problem(bench: Bench) -> None:
    assert late(bench, ticket_of(bench)) == ""
    assert bench.drained().batch.late


@pytest.mark.parametrize("override", [Reason.KILLED, Reason.FORCED], ids=str)
def test_a_decision_under_an_override_is_said_not_to_be_compared(
    bench: Bench, override: Reason
) -> None:
    bench.switch.standing = Standing(override=override)
    ticket = ticket_of(bench)
    assert late(bench, ticket) == (
        f"decision {ticket.decision_id} is not compared: "
        "no split decided it, as while killed or by a fixed rule"
    )


def test_a_decision_by_a_fixed_rule_is_said_not_to_be_compared(bench: Bench) -> None:
    bench.say("v2", "STATIC")
    assert "is not compared: no split decided it" in late(bench, ticket_of(bench))


def test_a_third_variant_is_said_not_to_be_compared(bench: Bench) -> None:
    bench.serve("v3", lambda: "third")
    bench.say("v3")
    problem = late(bench, ticket_of(bench))
    assert problem.endswith("compared: 'v3' is neither control nor candidate")


def test_what_a_call_has_counted_is_said_to_be_counted(bench: Bench) -> None:
    assignment = bench.route.decide(USER).assignment
    receipt = bench.parts.receipt(assignment, frozenset({"resolved"}))
    problem = late(bench, bench.parts.keyring.open(receipt))
    assert problem == "it was counted when the call ended; the first value stands"


def test_too_many_waiting_outcomes_are_said_to_wait_for_the_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recorder, "MAX_LATE", 1)
    ticket = ticket_of(bench)
    assert late(bench, ticket) == ""
    assert "too many outcomes wait for the store" in late(bench, ticket)
