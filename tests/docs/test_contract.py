"""Each clause of the kill contract is held by tests that exist."""

import ast
import re
from pathlib import Path

import pytest


TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "explanation" / "safety.md").read_text(encoding="utf-8")
CLAUSES, _, TABLE = PAGE.partition("\n## The tests that hold it\n")
HELD = {
    int(number): re.findall(r"`([^`]+\.py)::(\w+)`", names)
    for number, names in re.findall(r"^\| (\d+) \| (.+) \|$", TABLE, re.MULTILINE)
}


def functions(module: str) -> set[str]:
    """Return the tests of a module, which need not be importable here."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_clause_is_held_by_a_test() -> None:
    clauses = [int(n) for n in re.findall(r"^(\d+)\. \*\*", CLAUSES, re.MULTILINE)]
    assert clauses == [*range(1, len(clauses) + 1)]
    assert [*HELD] == clauses
    assert all(HELD.values())


@pytest.mark.parametrize("clause", HELD)
def test_every_test_that_holds_a_clause_exists(clause: int) -> None:
    for module, name in HELD[clause]:
        assert name.startswith("test_")
        assert name in functions(module), f"{module}::{name}"
