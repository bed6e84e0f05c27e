"""Run the examples in the README, the docs and the docstrings as tests.

A plugin, and not a conftest.py, because conftest.py sees only the files below
it and the README lies at the root.
"""

from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser


ROOT = str(Path(__file__).parents[2])

pytest_collect_file = (
    Sybil(path=ROOT, parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["*.md"])
    + Sybil(path=ROOT, parsers=[DocTestParser()], patterns=["*.py"])
).pytest()
