"""A start that fails, and applications that get in the way."""

import logging

import pytest
from openfeature.evaluation_context import EvaluationContext

import flipback
from apps import App, operator
from flipback.control import Repeater
from projects import ROUTE, CreateProject
from troubles import until


USER = EvaluationContext("user-1", {"plan": "free"})


def test_control_serves_where_the_thread_that_obeys_kills_cannot_be_started(
    project: CreateProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Repeater) -> None:
        raise RuntimeError("can't start new thread")

    folder = project(split={"v1": 0, "v2": 100})
    monkeypatch.setattr(Repeater, "start", refuse)
    with App(folder, fails=False) as app:
        assert app.route.call(USER) == "v1"
        assert "not started, so control serves" in app.said
        assert app.reason() is flipback.Reason.NOT_READY


def test_a_log_filter_that_raises_stops_no_roll_back(project: CreateProject) -> None:
    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ValueError(record.msg)

    logger = logging.getLogger("flipback")
    broken = Raising()
    logger.addFilter(broken)
    try:
        with App(project(guard={"run": "thread"})) as app:
            app.serve()
            assert until(lambda: not app.open)
            flags = app.project.flags
            assert until(lambda: '"targeting": {}' in flags.read_text())
    finally:
        logger.removeFilter(broken)


def test_calls_before_the_secret_is_known_are_no_faults(
    project: CreateProject,
) -> None:
    folder = project()
    folder.store.mkdir()  # a folder where the store should be: it cannot be read
    router = flipback.Router.from_config(folder.config)
    route: flipback.Route[[], str] = router.route(ROUTE)
    route.variant("v1", version="1")(lambda: "v1")
    route.variant("v2", version="1")(lambda: "v2")
    assert route.call(USER) == "v1"
    assert not any(kind == flipback.Reason.FAULT for _, kind in router.faults())
    router.stop()


def test_a_process_that_finds_neither_ledger_nor_kills_says_so(
    project: CreateProject, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project()
    with App(folder) as app, operator(folder) as person:
        assert caplog.text.count("a fresh start") == 1
        person.kill([ROUTE], reason="bad", actor="ada", wait_s=0)
        assert until(lambda: not app.open)
    for lost in (folder.ledger, *folder.path.glob("flipback.db*")):
        lost.unlink()
    with App(folder):
        assert caplog.text.count("a fresh start") == 2
    assert "put the ledger back" in caplog.text
    assert '"targeting": {}' in folder.flags.read_text()
