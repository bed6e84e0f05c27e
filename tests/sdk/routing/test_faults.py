import logging
import sqlite3
import threading

import pytest
from typing_extensions import override

from flipback.routing import Faults
from flipback.routing._faults import MOST_KINDS, OTHER_KINDS, described, shortened


def test_the_first_of_a_kind_is_logged_and_all_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = Faults()
    for detail in ("one", "two"):
        faults.note("support", "error", detail)
    faults.note("sales", "error", "three")
    assert faults.counts() == {("support", "error"): 2, ("sales", "error"): 1}
    assert faults.details() == {
        ("support", "error"): "error: one",
        ("sales", "error"): "error: three",
    }
    assert [record.getMessage() for record in caplog.records] == [
        "route support: error: one (further ones are counted)",
        "route sales: error: three (further ones are counted)",
    ]


def test_names_that_clients_make_up_fill_no_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = Faults()
    for number in range(MOST_KINDS + 100):
        faults.note("*", f"outcome refused: {number}", "unknown")
    faults.note("*", "outcome refused: 1", "unknown")
    counts = faults.counts()
    assert len(counts) == len(faults.details()) == MOST_KINDS + 1
    assert counts["*", OTHER_KINDS] == 100
    assert counts["*", "outcome refused: 1"] == 2
    assert len(caplog.records) == MOST_KINDS + 1


def test_a_filter_that_raises_fails_no_call() -> None:
    def explode(_: logging.LogRecord) -> bool:
        raise RuntimeError("a filter's bug")

    logger = logging.getLogger("flipback")
    logger.addFilter(explode)
    try:
        Faults().note("support", "error", "one")
    finally:
        logger.removeFilter(explode)


def test_threads_count_exactly(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()

    def note() -> None:
        for _ in range(1000):
            faults.note("support", "error", "one")

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.counts() == {("support", "error"): 8000}
    assert len(caplog.records) == 1


def test_a_forked_child_starts_anew() -> None:
    faults = Faults()
    faults.note("support", "error", "one")
    faults.after_fork()
    assert (faults.counts(), faults.details()) == ({}, {})


class Unshowable(Exception):  # noqa: N818 - a test's own
    """An error that cannot be shown."""

    @override
    def __str__(self) -> str:
        raise RuntimeError("not to be shown")

    __repr__ = __str__


def test_an_error_is_described_by_its_type_and_says_more_at_debug_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="flipback"):
        assert described(KeyError("alice@example.com")) == "KeyError"
        assert described(sqlite3.OperationalError("x")) == "sqlite3.OperationalError"
    assert caplog.text == ""
    with caplog.at_level(logging.DEBUG, logger="flipback"):
        described(KeyError("alice@example.com"))
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert "alice@example.com" in caplog.text


def test_an_error_that_cannot_be_shown_is_described_and_noted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = Faults()
    with caplog.at_level(logging.DEBUG, logger="flipback"):
        assert described(Unshowable()).endswith(".Unshowable")
        faults.note("support", "error", Unshowable())
    assert faults.details() == {("support", "error"): "error: a broken Unshowable"}


def test_a_value_is_shown_in_forty_characters_at_most() -> None:
    assert shortened("v3") == "'v3'"
    assert shortened("x" * 38) == repr("x" * 38)
    assert shortened("x" * 39) == "'" + "x" * 36 + "..."
    assert shortened(Unshowable()) == "a broken Unshowable"
