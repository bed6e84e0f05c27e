import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from openfeature.evaluation_context import EvaluationContext
from typing_extensions import override

import flipback
from benches import USER, Bench
from flipback import Router
from flipback.assignment import Role
from flipback.booking import LATE
from flipback.exposure import Evidence
from flipback.histogram import Threshold
from flipback.routing import Keyring, Route, Standing
from flipback.routing._receipt import LIFETIME, _encode
from flipback.stores import SqliteStore
from flipback.testing import FakeClock
from projects import CreateProject, Project


Build = Callable[..., Bench]
FROZEN = {"latency_s": Threshold(tail=0.1, cap=1.25)}
SLOW: Mapping[str, object] = {
    "guardrails": [
        {"metric": metric, "fails_on": "increase", "tolerance": 0.2}
        for metric in ("error", "latency_s", "resolved", "kept")
    ],
    "metrics": {"kept": {"matures_after": "2h"}},
}
Support = Route[[], str | None]


class TurnedBack(FakeClock):
    """A clock that somebody sets back by a day."""

    back = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() - self.back


def route_of(router: Router) -> Support:
    route: Support = router.route("support")
    for name in ("v1", "v2"):
        route.variant(name, version="1")(flipback.receipt)
    return route


def evidence(project: Project) -> Evidence:
    with closing(SqliteStore(project.store, clock=FakeClock())) as store:
        return store.evidence("support", attempt=1, trip=0)


def means(project: Project, metric: str) -> dict[str, tuple[int, float]]:
    """Return cohort to count and mean over both variants' cells of a metric."""
    cells = evidence(project).cells
    return {
        key.cohort: (cell.total_n, cell.mean)
        for key, cell in cells.items()
        if key.metric == metric
    }


def test_a_receipt_says_what_was_decided(bench: Bench) -> None:
    decision = bench.route.decide(USER)
    ticket = bench.parts.keyring.open(decision.expose())
    made = decision.assignment
    assert (ticket.route, ticket.decision_id) == ("support", made.decision_id)
    assert (ticket.variant, ticket.role) == ("v2", Role.CANDIDATE)
    assert (ticket.epoch, ticket.attempt, ticket.rule) == (made.epoch, 1, "all")
    assert (ticket.cohorts, ticket.subject) == (made.cohorts, made.subject)
    assert ticket.randomized
    assert ticket.settled == frozenset()
    assert ticket.expires_at == (bench.clock.now() + LIFETIME).timestamp()


def test_a_receipt_brings_time_and_percentiles_of_what_may_still_come(
    build: Build,
) -> None:
    bench = build(plan=SLOW)
    bench.switch.standing = Standing(override=None, thresholds=FROZEN)
    assignment = bench.route.decide(USER).assignment
    for settled, brought in (
        (frozenset[str](), FROZEN),
        (frozenset({"latency_s"}), {}),
    ):
        ticket = bench.parts.keyring.open(bench.parts.receipt(assignment, settled))
        assert (ticket.at, ticket.thresholds) == (
            bench.clock.now().timestamp(),
            brought,
        )


def test_a_plan_without_delays_pays_for_no_clock(bench: Bench) -> None:
    decision = bench.route.decide(USER)
    assert decision.assignment.at == 0.0
    assert bench.parts.keyring.open(decision.expose()).at == 0.0


def test_a_receipt_of_the_first_version_opens_and_its_delayed_outcomes_are_late(
    build: Build,
) -> None:
    bench = build(plan=SLOW)
    body = json.dumps(
        [
            "support",
            "0123456789abcdef",
            "v2",
            "candidate",
            "e1",
            1,
            "all",
            True,
            ["plan=free"],
            42,
            ["error"],
            bench.clock.now().timestamp() + 60,
        ]
    ).encode()
    keyring = bench.parts.keyring
    receipt = f"fb1.{_encode(body)}.{_encode(keyring._mac(body))}"  # noqa: SLF001 - as the first version signed
    ticket = keyring.open(receipt)
    assert (ticket.at, ticket.thresholds, ticket.subject) == (0.0, {}, 42)
    assert "it came after `matures_after`" in bench.parts.late(ticket, "kept", 1.0)
    assert bench.parts.late(ticket, "resolved", 1.0) == ""
    assert bench.drained().excluded == {LATE: 1}


def test_a_receipt_is_text_for_a_header_and_names_no_user(bench: Bench) -> None:
    receipt = bench.route.decide(USER).expose()
    assert receipt.isascii()
    assert receipt.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert "user-1" not in receipt
    assert len(receipt) < 500


@pytest.mark.parametrize(
    ("receipt", "problem"),
    [
        ("", "this is no receipt of flipback"),
        ("another.token.here", "this is no receipt of flipback"),
        ("fb1", "damaged"),
        ("fb1.x.y", "damaged"),
        ("fb1.ü.ü", "damaged"),
        ("fb1..", "damaged"),
    ],
)
def test_what_is_no_receipt_is_refused(
    bench: Bench, receipt: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        bench.parts.keyring.open(receipt)


def test_no_character_of_a_receipt_can_be_changed(bench: Bench) -> None:
    receipt = bench.route.decide(USER).expose()
    for place in range(4, len(receipt) - 1):
        changed = "A" if receipt[place] != "A" else "B"
        forged = receipt[:place] + changed + receipt[place + 1 :]
        with pytest.raises(ValueError, match="damaged"):
            bench.parts.keyring.open(forged)


def test_a_receipt_of_another_secret_is_refused_with_a_remedy(bench: Bench) -> None:
    stranger = Keyring(lambda: b"another secret", bench.clock)
    with pytest.raises(ValueError, match="give all processes the same FLIPBACK_SECRET"):
        stranger.open(bench.route.decide(USER).expose())


def test_a_receipt_expires(bench: Bench) -> None:
    receipt = bench.route.decide(USER).expose()
    bench.clock.advance(LIFETIME.total_seconds())
    assert bench.parts.keyring.open(receipt)
    bench.clock.advance(1)
    with pytest.raises(ValueError, match="the receipt has expired"):
        bench.parts.keyring.open(receipt)


def test_a_clock_that_is_set_back_is_harmless(project: CreateProject) -> None:
    made, clock = project(), TurnedBack()
    with Router.from_config(made.config, clock=clock) as router:
        support = route_of(router)
        receipt = support.decide(USER).expose()
        clock.back = timedelta(days=1)
        assert router.record(receipt, "resolved", 1)
        assert support.call(USER) is not None
        assert router.flush()
        assert router.faults() == {}
    assert means(made, "resolved")[""] == (1, 1.0)
    assert means(made, "latency_s")[""] == (1, 0.0)


def test_a_subject_is_hashed_by_key_and_any_text_has_a_hash(bench: Bench) -> None:
    mine = bench.parts.keyring
    stranger = Keyring(lambda: b"another secret", bench.clock)
    assert mine.subject("user-1") == mine.subject("user-1")
    assert mine.subject("user-1") != stranger.subject("user-1")
    assert 0 <= mine.subject("") < 2**64
    assert bench.call(EvaluationContext("half a pair: \ud800")) == "v2"


def test_a_late_outcome_counts_once_over_all_processes(project: CreateProject) -> None:
    made = project()
    with (
        Router.from_config(made.config, clock=FakeClock()) as first,
        Router.from_config(made.config, clock=FakeClock()) as second,
    ):
        receipt = route_of(first).call(USER)
        route_of(second)
        assert receipt is not None
        for router in (first, second, first):
            assert router.record(receipt, "resolved", 1)
            assert router.flush()
        assert first.faults() == second.faults() == {}
    assert means(made, "resolved") == {"": (1, 1.0), "plan=enterprise": (1, 1.0)}
    assert means(made, "exposure")[""] == (1, 1.0)


def test_a_receipt_finds_its_route_in_a_process_that_never_called_it(
    project: CreateProject,
) -> None:
    made = project()
    with Router.from_config(made.config) as serving:
        receipt = route_of(serving).call(USER)
    with Router.from_config(made.config) as collecting:
        assert receipt is not None
        assert collecting.record(receipt, "resolved", 1)
    assert means(made, "resolved")[""] == (1, 1.0)


def test_what_the_call_settled_is_not_accepted_again(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    made = project()
    with Router.from_config(made.config) as router:
        receipts = list[str | None]()

        def serve() -> str | None:
            flipback.record("resolved", 1)
            receipts.append(flipback.receipt())
            return None

        support: Support = router.route("support")
        for name in ("v1", "v2"):
            support.variant(name, version="1")(serve)
        with flipback.context(USER):
            support()
            receipts.append(flipback.receipt())
        for receipt in receipts:
            assert receipt is not None
            for metric in ("resolved", "error", "latency_s"):
                assert not router.record(receipt, metric, 1)
        assert router.faults() == {
            ("*", f"outcome refused: {metric}"): 2
            for metric in ("resolved", "error", "latency_s")
        }
    assert caplog.text.count("it was counted when the call ended") == 3
    assert means(made, "resolved")[""] == (1, 1.0)
    assert means(made, "error")[""] == (1, 0.0)


def test_a_receipt_taken_inside_and_the_call_itself_count_once(
    project: CreateProject,
) -> None:
    """What is recorded after the receipt was taken may come by receipt as well."""
    made = project()
    with Router.from_config(made.config) as router:
        taken = list[str]()

        def serve() -> str | None:
            taken.append(flipback.receipt() or "")
            flipback.record("resolved", 1)
            return None

        support: Support = router.route("support")
        for name in ("v1", "v2"):
            support.variant(name, version="1")(serve)
        support.call(USER)
        assert router.record(taken[0], "resolved", 1)
        assert router.flush()
    assert means(made, "resolved")[""] == (1, 1.0)


def test_a_decision_that_was_exposed_takes_every_outcome_by_receipt(
    project: CreateProject,
) -> None:
    made = project()
    with Router.from_config(made.config) as router:
        receipt = route_of(router).decide(USER).expose()
        for metric, value in (("error", 0), ("latency_s", 0.5), ("resolved", 1)):
            assert router.record(receipt, metric, value)
    assert means(made, "latency_s")[""] == (1, 0.5)
    assert means(made, "exposure")[""] == (1, 1.0)


@pytest.mark.parametrize(
    ("metric", "value", "problem"),
    [
        ("resolve", 1, "the plan knows error, latency_s, resolved"),
        ("resolved", float("nan"), "nan is not finite"),
        ("resolved", "yes", "str is no number"),
        ("resolved", 10**400, "too large"),
        (["resolved"], 1, "the plan knows error, latency_s, resolved"),
    ],
    ids=["unknown", "nan", "text", "huge", "no name"],
)
def test_a_late_outcome_that_cannot_be_one_is_refused_and_never_raises(
    project: CreateProject,
    caplog: pytest.LogCaptureFixture,
    metric: str,
    value: float,
    problem: str,
) -> None:
    with Router.from_config(project().config) as router:
        receipt = route_of(router).decide(USER).expose()
        caplog.set_level(logging.WARNING, logger="flipback")
        assert not router.record(receipt, metric, value)
        assert not router.record(receipt, metric, value)
        ((_, kind),) = router.faults()
        assert router.faults() == {("*", kind): 2}
    assert kind.startswith("outcome refused: ")
    assert caplog.text.count(problem) == 1


@pytest.mark.parametrize("receipt", [None, 3, "", "fb1.x.y"], ids=repr)
def test_a_receipt_that_is_none_never_raises(
    project: CreateProject, receipt: str
) -> None:
    with Router.from_config(project().config) as router:
        assert not router.record(receipt, "resolved", 1)
        assert router.faults() == {("*", "outcome refused: resolved"): 1}


def test_a_receipt_of_a_route_without_a_plan_is_refused(
    project: CreateProject,
) -> None:
    made = project()
    with Router.from_config(made.config) as router:
        receipt = route_of(router).decide(USER).expose()
    with Router.from_config(project(plan={"route": "sales"}).config) as router:
        assert not router.record(receipt, "resolved", 1)


def test_an_outcome_of_what_was_not_randomized_is_refused(
    project: CreateProject,
) -> None:
    made = project()
    made.write_flag({"v1": 1, "v2": 1}, targeting={})
    with Router.from_config(made.config) as router:
        receipt = route_of(router).decide(USER).expose()
        assert not router.record(receipt, "resolved", 1)
    assert evidence(made).excluded == {"static": 1}


def test_a_secret_that_cannot_be_read_gives_no_receipt_and_fails_no_call(
    build: Build,
) -> None:
    def unreadable() -> bytes:
        raise sqlite3.OperationalError("unable to open database file")

    bench = build(secret=unreadable)
    bench.serve("v1", lambda: str(flipback.receipt()))
    assert bench.call() == "None"
    assert bench.route.decide(USER).expose() == ""
    assert bench.kinds["no receipt"] == 2
