"""Run the examples in the docs and the docstrings as tests.

A plugin, and not a conftest.py, because a conftest.py sees only the files below it.
The README has tests of its own, which follow its commands as well.
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
