import json
import subprocess
import sys
from pathlib import Path


CHILDREN = Path(__file__).with_name("children.py")


def seen_by(scenario: str, path: Path) -> dict[str, object]:
    """Run a scenario of `children.py`, and return what it saw."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, CHILDREN, scenario, path],
        check=True,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_a_torn_flush_is_counted_once(tmp_path: Path) -> None:
    seen = seen_by("killed_in_a_flush", tmp_path / "x.db")
    assert seen == {
        "exits": [-9] * 10,
        "retried": [True, False] * 10,
        "cells": 40,
        "n": [30],
        "subjects": 10,
    }


def test_flushes_of_killed_processes_are_counted_once(tmp_path: Path) -> None:
    seen = seen_by("killed_at_any_time", tmp_path / "x.db")
    expected = seen["expected"]
    assert isinstance(expected, int)
    assert (seen["n"], seen["subjects"]) == ([3 * expected], expected)


def test_four_processes_create_and_fill_one_store_without_loss(tmp_path: Path) -> None:
    seen = seen_by("four_at_once", tmp_path / "x.db")
    assert seen == {"exits": [0] * 4, "cells": 40, "n": [300], "subjects": 100}


def test_processes_see_each_others_latches_across_a_fork(tmp_path: Path) -> None:
    seen = seen_by("latches_both_ways", tmp_path / "x.db")
    assert seen == {"exit": 0, "parent": 1, "child": 2}


def test_a_process_may_fork_while_a_thread_flushes(tmp_path: Path) -> None:
    seen = seen_by("forks_amid_flushes", tmp_path / "x.db")
    assert seen == {"exits": [0] * 20, "cells": 40, "n": [420], "subjects": 140}


def test_a_fork_does_not_wait_for_a_locked_store(tmp_path: Path) -> None:
    seen = seen_by("forks_while_locked", tmp_path / "x.db")
    assert seen == {"waited": False, "exit": 0, "n": [6]}


def test_a_store_in_use_during_a_fork_is_lost_to_the_child_alone(
    tmp_path: Path,
) -> None:
    seen = seen_by("forks_in_a_transaction", tmp_path / "x.db")
    assert seen == {"waited": False, "exit": 0, "kept": 1}


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path: Path) -> None:
    assert seen_by("killed_while_telling", tmp_path / "x.db") == {"lost": []}


def test_kills_of_eight_processes_are_one_trip_per_intent(tmp_path: Path) -> None:
    seen = seen_by("eight_kills", tmp_path / "x.jsonl")
    assert (seen["exits"], seen["lines"]) == ([0] * 8, 9)
    trips = seen["trips"]
    assert isinstance(trips, dict)
    assert sorted(trips.values()) == list(range(1, 10))
    assert set(trips) == {f"i{number}" for number in range(8)} | {"shared"}


def test_a_kill_fits_on_a_full_disk(tmp_path: Path) -> None:
    seen = seen_by("full_disk", tmp_path / "x.jsonl")
    error = str(seen.pop("error"))
    assert seen == {"trip": 1, "again": 1, "held": True}
    assert "the disk is full or the file may not grow; make room" in error
