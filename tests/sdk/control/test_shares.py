"""The share that a flag gives out is asked for once, and never waited for."""

from dataclasses import replace

import pytest
from openfeature.evaluation_context import EvaluationContext
from typing_extensions import override

from apps import App, exposures
from flipback.control import NO_SHARE, Shares, SystemClock
from flipback.errors import FlagProblem, FlagWriteError
from flipback.exposure import Epoch
from flipback.plan import RolloutPlan
from flipback.ports import FlagRef, FlagState
from flipback.routing import Faults
from flipback.stores import SqliteStore
from flipback_providers.flagfile import FlagFileWriter
from projects import FLAG, PLAN, ROUTE, CreateProject, Project


class CountingWriter(FlagFileWriter):
    """Counts how often it is asked; raises what it is told to."""

    asked = 0
    trouble: Exception | None = None

    @override
    def read(self, ref: FlagRef) -> FlagState:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return super().read(ref)


@pytest.fixture
def writer(folder: Project) -> CountingWriter:
    return CountingWriter(folder.flags, clock=SystemClock())


def epoch(writer: FlagFileWriter, **parts: object) -> Epoch:
    version = writer.read(FlagRef(key=FLAG)).version.token
    made = Epoch(
        digest="e1",
        route=ROUTE,
        attempt=1,
        trip=0,
        described="",
        flag_version=version,
    )
    return replace(made, **parts)  # type: ignore[arg-type]


def shares(writer: FlagFileWriter | None, **plan: object) -> Shares:
    whole = RolloutPlan.model_validate({**PLAN, **plan})
    return Shares({ROUTE: whole}, writer, Faults())


def test_the_candidates_share_of_both_arms_is_known_by_rule(
    folder: Project, writer: CountingWriter
) -> None:
    folder.write_flag({"v1": 60, "v2": 20, "v3": 20})
    assert shares(writer).added(epoch(writer)).shares == {"default": 0.25}


def test_values_of_the_flag_are_read_as_the_plan_reads_them(
    folder: Project, writer: CountingWriter
) -> None:
    folder.write_flag({"off": 70, "on": 30}, variants={"off": False, "on": True})
    asked = shares(writer, values={"true": "v2", "false": "v1"})
    assert asked.added(epoch(writer)).shares == {"default": 0.3}


def test_a_flag_is_read_once_for_an_epoch(writer: CountingWriter) -> None:
    asked, opened = shares(writer), epoch(writer)
    before = writer.asked
    first, second = asked.added(opened), asked.added(opened)
    assert (writer.asked - before, first.shares, second.shares) == (
        1,
        {"default": 0.5},
        {"default": 0.5},
    )


@pytest.mark.parametrize("version", ["another", ""], ids=["moved on", "unversioned"])
def test_a_flag_of_another_version_tells_no_share(
    writer: CountingWriter, version: str
) -> None:
    assert shares(writer).added(epoch(writer, flag_version=version)).shares == {}


def test_without_a_writer_no_share_is_known(writer: CountingWriter) -> None:
    assert shares(None).added(epoch(writer)).shares == {}


def test_a_split_without_one_of_the_arms_has_no_share(
    folder: Project, writer: CountingWriter
) -> None:
    folder.write_flag({"v1": 50, "v3": 50})
    assert shares(writer).added(epoch(writer)).shares == {}


@pytest.mark.parametrize(
    "trouble",
    [
        FlagWriteError("no such flag", kind=FlagProblem.NOT_FOUND),
        ZeroDivisionError("a bug"),
    ],
)
def test_a_service_that_cannot_be_read_is_said_once(
    writer: CountingWriter, trouble: Exception
) -> None:
    opened, faults = epoch(writer), Faults()
    asked = Shares({ROUTE: RolloutPlan.model_validate(PLAN)}, writer, faults)
    writer.trouble = trouble
    assert [asked.added(opened).shares for _ in range(3)] == [{}, {}, {}]
    assert faults.counts() == {(ROUTE, NO_SHARE): 1}


def read(folder: Project) -> dict[tuple[str, str], float]:
    store = SqliteStore(folder.store, clock=SystemClock())
    try:
        return dict(store.evidence(ROUTE, attempt=1, trip=0).shares)
    finally:
        store.close()


def test_what_is_flushed_tells_the_share_of_its_epoch(project: CreateProject) -> None:
    folder = project(split={"v1": 90, "v2": 10})
    with App(folder, fails=False) as app:
        app.serve(20)
        assigned = app.route.decide(EvaluationContext("user-1")).assignment
        app.router.flush()
    assert read(folder) == {(assigned.epoch, "default"): 0.1}


def test_a_flag_file_that_is_damaged_meanwhile_keeps_no_evidence_back(
    folder: Project,
) -> None:
    with App(folder, fails=False) as app:
        app.serve(1)
        folder.flags.write_text("{")
        app.serve(20)
        assert app.router.flush()
    assert exposures(folder) == 21
