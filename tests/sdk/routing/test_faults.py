import logging
import threading

import pytest

from flipback.routing import Faults
from flipback.routing._faults import MOST_KINDS, OTHER_KINDS, described


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


def test_an_error_is_described_by_itself_or_by_its_type() -> None:
    class Unshowable(Exception):  # noqa: N818 - a test's own
        def __repr__(self) -> str:
            raise RuntimeError

    assert described(ValueError("x")) == "ValueError('x')"
    assert described(Unshowable()) == "Unshowable"
