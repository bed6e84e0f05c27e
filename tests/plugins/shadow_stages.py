"""A project in a shadow stage, and what its store has of it."""

from dataclasses import replace

from flipback.assignment import EVERYBODY
from flipback.control import SystemClock
from flipback.rollout import Phase
from flipback.stores import SqliteStore
from projects import ROUTE, CreateProject, Project


ALL_ON_CONTROL = {"v1": 100, "v2": 0}


def shadow_project(
    create: CreateProject, plan: dict[str, object] | None = None, **toml: object
) -> Project:
    """Write a project whose rollout is in its first stage, which shadows all calls."""
    stages = [{"shadow": 1}, {"weight": 50}]
    project = create(
        plan={"stages": stages, **(plan or {})}, split=ALL_ON_CONTROL, **toml
    )
    set_phase(project, Phase.SHADOW)
    return project


def set_phase(project: Project, phase: Phase) -> None:
    """Let a rollout be in this phase, as its controller would."""
    store = SqliteStore(project.store, clock=SystemClock())
    try:
        record = store.rollout(ROUTE)
        moved = replace(record, revision=record.revision + 1, phase=phase)
        assert store.replace_rollout(moved, lease=None)
    finally:
        store.close()


def pairs(project: Project, metric: str = "error") -> dict[str, tuple[int, float]]:
    """Return how many pairs the store has, and the mean of each variant."""
    store = SqliteStore(project.store, clock=SystemClock())
    try:
        cells = store.evidence(ROUTE, attempt=1, trip=0).cells
    finally:
        store.close()
    return {
        key.variant: (cell.total_n, cell.mean)
        for key, cell in cells.items()
        if (key.metric, key.cohort) == (f"{metric}+paired", EVERYBODY)
    }
