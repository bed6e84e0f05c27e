"""Durations as people read them."""

import re


_MILLISECONDS = re.compile(r"\b(\d+s) \d+ms\b")


def brief(text: str) -> str:
    """Return a sentence without the milliseconds of its durations."""
    return _MILLISECONDS.sub(r"\1", text)
