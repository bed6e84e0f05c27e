"""What is drawn and listed of the rules of a rollout is what they are."""

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from flipback.rollout import RULES, Phase


SCRIPT = Path(__file__).parents[2] / "docs" / "_diagrams" / "rollout.py"
AGAIN = "run .venv/bin/python docs/_diagrams/rollout.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rollout_diagram", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_rules(script: ModuleType) -> None:
    assert script.PICTURE.read_text() == script.picture(), AGAIN


def test_the_table_is_that_of_the_rules(script: ModuleType) -> None:
    page = script.PAGE.read_text()
    assert page == script.page_with(page, script.table()), AGAIN
    rows = sum(map(len, RULES.values()))
    assert script.table().count("\n") == rows + 2


def test_every_phase_has_its_place_and_every_move_its_arrow(
    script: ModuleType,
) -> None:
    assert set(script.boxes()) == set(Phase)
    drawn = {(arrow.start, arrow.move, arrow.to) for arrow in script.arrows()}
    legal = {
        (start, move, to)
        for start, rules in RULES.items()
        for move, rule in rules.items()
        for to in rule.to
        if start is not Phase.ROLLED_BACK or to is not start
    }
    assert drawn == legal


def test_the_picture_needs_nothing_but_itself(script: ModuleType) -> None:
    root = ET.fromstring(script.picture())  # noqa: S314 - made by the script
    assert root.tag.endswith("svg")
    assert "http" not in script.picture().replace("http://www.w3.org/2000/svg", "")
