import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import troubles


pytestmark = pytest.mark.long
HERE = Path(__file__).parent
STEPS = ["ledger", "store", "read", "flag", "read", "note"]
COHORT_STEPS = ["ledger", "store", "read", "flag", "read", "flag", "note"]
Death = dict[str, object]


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> list[Death]:
    """Return what came after each death, in the order of the steps."""
    plugins = Path(troubles.__file__).parent
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, HERE / "dying.py", tmp_path_factory.mktemp("deaths")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(plugins), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def _both(steps: list[str]) -> list[str]:
    return [f"{when} {step}" for step in steps for when in ("before", "after")]


def test_every_step_of_a_kill_was_died_at(deaths: list[Death]) -> None:
    died = [each["died"] for each in deaths]
    assert died == [*_both(STEPS), *_both(COHORT_STEPS)]


def test_after_every_death_control_is_served_by_exactly_one_trip(
    deaths: list[Death],
) -> None:
    for each in deaths:
        assert each["held"], each
        assert each["stored"] == [1, True], each
        assert each["trips"] == [1], each


def test_after_every_death_the_kill_reaches_the_flag(deaths: list[Death]) -> None:
    for each in deaths:
        assert each["arrived"], each
        cohort = "[" in str(each["name"])
        rule = {"===": [{"var": "plan"}, "enterprise"]}
        split = {"fractional": [["v1", 50], ["v2", 50]]}
        assert each["flag"] == ({"if": [rule, "v1", split]} if cohort else {}), each


def test_only_a_death_before_the_ledger_makes_somebody_kill_again(
    deaths: list[Death],
) -> None:
    unknown = [each["died"] for each in deaths if not each["known"]]
    assert unknown == ["before ledger", "before ledger"]


def test_an_arrival_is_noted_once_whoever_dies(deaths: list[Death]) -> None:
    assert {each["arrivals"] for each in deaths} == {1}
