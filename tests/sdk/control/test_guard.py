import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from typing_extensions import override

from apps import App, exposures, operator
from flipback import Reason, Verdict
from flipback.analysis import analyze, describe
from flipback.control import (
    EVALUATOR,
    UNTRUSTED,
    Delivered,
    Flusher,
    GuardrailEvaluator,
    KillReport,
    Shares,
    SystemClock,
    culprits,
)
from flipback.errors import StoreError
from flipback.exposure import Evidence
from flipback.histogram import Thresholds
from flipback.routing import Faults, Recorder
from flipback.verdict import Action
from projects import FLAG, ROUTE, CreateProject, Project
from troubles import Control, InterruptedStore


Build = Callable[..., Control]


def guard_of(control: Control) -> GuardrailEvaluator:
    ground = control.ground
    recorder = Recorder(
        writer="w", plans=ground.plans, due=lambda _: None, clock=ground.clock
    )
    shares = Shares(ground.plans, ground.writer, Faults())
    flusher = Flusher(recorder, ground.store, Faults(), shares)
    return GuardrailEvaluator(ground, control.switch, flusher, {})


def test_the_call_after_the_proof_is_served_by_control(folder: Project) -> None:
    with App(folder) as app:
        assert app.serve()["v2"] > 50
        (look,) = app.router.guard.look()
        assert look.analysis.verdict is Verdict.FAIL
        assert app.reason() is Reason.KILLED
        assert app.serve(50) == {"v1": 50}
    assert look.kill is not None
    assert (look.kill.latch.trip, look.kill.latch.actor) == (1, EVALUATOR)
    assert look.kill.flag is Delivered.APPLIED
    assert "error 1 against 0 of control for everybody" in look.kill.latch.reason
    flag = json.loads(folder.flags.read_text())["flags"][FLAG]
    assert (flag["targeting"], flag["defaultVariant"]) == ({}, "v1")


def test_a_candidate_that_does_no_harm_is_left_alone(folder: Project) -> None:
    with App(folder, fails=False) as app:
        app.serve()
        (look,) = app.router.guard.look()
        assert (look.kill, look.analysis.verdict) == (None, Verdict.INCONCLUSIVE)
        assert app.open


def test_nothing_observed_proves_nothing(folder: Project) -> None:
    with App(folder) as app:
        (look,) = app.router.guard.look()
    assert (look.kill, look.analysis.verdict) == (None, Verdict.INCONCLUSIVE)


def test_the_same_proof_in_two_processes_is_one_trip(folder: Project) -> None:
    with App(folder) as one, App(folder) as two:
        one.serve()
        one.router.flush()
        looks = [*one.router.guard.look(), *two.router.guard.look()]
        trips = [look.kill.latch.trip for look in looks if look.kill]
        assert trips == [1]
        assert two.reason() is Reason.KILLED


def test_a_proof_that_two_processes_find_at_once_is_one_trip(
    control: Build, folder: Project
) -> None:
    with App(folder) as app:
        app.serve()
        app.router.flush()
        evidence = app.router.guard._ground.store.evidence(ROUTE, attempt=1, trip=0)  # noqa: SLF001
    processes = (control(), control())
    for process in processes:
        process.switch.refresh()
    kills: list[KillReport] = []
    for process in processes:
        guard = guard_of(process)
        standing = process.switch.switches[ROUTE].standing
        plan = process.ground.plans[ROUTE]
        kills.append(guard._roll_back(plan, analyze(plan, evidence), standing))  # noqa: SLF001
    assert [kill.latch.trip for kill in kills] == [1, 1]
    entries = processes[0].ground.ledger.entries()
    assert [entry.kind.value for entry in entries] == ["kill", "flag_write"]


def test_after_a_release_evidence_starts_empty(folder: Project) -> None:
    with App(folder) as app:
        app.serve()
        app.router.guard.look()
        before = exposures(folder)
        with operator(folder) as person:
            person.release(ROUTE, trip=1, reason="fixed", actor="ada")
        folder.write_flag({"v1": 50, "v2": 50})
        (look,) = app.router.guard.look()
        assert (look.kill, look.analysis.verdict) == (None, Verdict.INCONCLUSIVE)
        assert all(finding.candidate_n == 0 for finding in look.analysis.findings)
        assert (exposures(folder), exposures(folder, trip=1)) == (before, 0)


def test_calls_decided_before_a_kill_count_for_no_later_trip(folder: Project) -> None:
    with App(folder) as app:
        app.serve()
        with operator(folder) as person:
            person.kill([ROUTE], reason="drill", actor="ada", wait_s=0)
            person.release(ROUTE, trip=1, reason="over", actor="ada")
        (look,) = app.router.guard.look()
        assert look.kill is None
        assert exposures(folder) > 0
        assert exposures(folder, trip=1) == 0


def test_a_look_of_a_process_that_serves_nothing_knows_the_last_release(
    folder: Project,
) -> None:
    with App(folder) as app:
        app.serve()
        app.router.flush()
        with operator(folder) as person:
            person.kill([ROUTE], reason="broken", actor="ada", wait_s=0)
            person.release(ROUTE, trip=1, reason="fixed", actor="ada")
    onlooker = App(folder)
    (look,) = onlooker.router.guard.look()
    onlooker.router.stop()
    assert look.kill is None


def test_a_store_that_cannot_be_read_decides_nothing(
    control: Build, folder: Project
) -> None:
    store = InterruptedStore(folder.store, SystemClock())
    process = control(store=store)
    guard = guard_of(process)
    store.down = True
    with pytest.raises(StoreError, match="down"):
        guard.look()
    guard.watch()
    assert "no look at the evidence: the store is down" in process.faults


def test_percentiles_that_cannot_be_frozen_stop_no_look(
    project: CreateProject,
) -> None:
    class Unfreezable(InterruptedStore):
        @override
        def freeze(
            self, route: str, comparison: str, thresholds: Thresholds
        ) -> Thresholds:
            raise StoreError("nothing freezes here")

    guardrail = {"metric": "latency_s", "fails_on": "increase", "tolerance": 0.1}
    folder = project(plan={"guardrails": [guardrail]})
    with App(folder, fails=False) as app:
        app.serve(10)
        app.router.flush()
        ground = app.router.guard._ground  # noqa: SLF001 - no other way in
        store = Unfreezable(folder.store, SystemClock())
        object.__setattr__(ground, "store", store)
        (look,) = app.router.guard.look()
        app.router.guard.catch_up()
        assert look.kill is None
        assert "percentiles not frozen" in app.said
    store.close()


def test_data_that_cannot_be_trusted_kills_nothing_and_is_said_once(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project(split={"v1": 90, "v2": 10})
    with App(folder, fails=True) as app:
        app.serve(1)
        misread(app)
        app.serve(600)
        looks = [*app.router.guard.look(), *app.router.guard.look()]
        assert [look.analysis.action for look in looks] == [Action.FREEZE] * 2
        assert [look.kill for look in looks] == [None, None]
        assert app.open
        assert app.router.faults()[ROUTE, UNTRUSTED] == 2
    assert caplog.text.count(UNTRUSTED) == 1


def misread(app: App) -> None:
    """Let the store have another share than the flag file gives out."""
    recorder = app.router._assembly.recorder  # noqa: SLF001 - no other way in
    for epoch in tuple(recorder._epochs.values()):  # noqa: SLF001 - likewise
        recorder.opened(replace(epoch, flag_version="", shares={"default": 0.5}))


def test_a_watch_in_the_background_rolls_back_by_itself(
    project: CreateProject,
) -> None:
    folder = project(guard={"run": "thread"})
    with App(folder) as app:
        while app.open:
            app.serve(20)
        assert app.reason() is Reason.KILLED


def test_who_is_to_blame_is_told_even_where_nobody_is_proven_alone(
    control: Build,
) -> None:
    plan = control().ground.plans[ROUTE]
    nothing = analyze(plan, Evidence(cells={}, subjects={}, excluded={}))
    (suspect,) = culprits(nothing)
    assert describe(suspect) == (
        f"{suspect.metric} unknown against unknown of control for everybody, "
        "from 0 candidate and 0 control observations, log E 0.00"
    )
