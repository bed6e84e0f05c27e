"""What the command line of the demo says; light, since nothing is imported for it."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass


SEED = 1994
CALLS_IF_GOOD = 60_000  # by then nine of ten biased candidates have flipped back


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    good: bool
    seed: int
    calls: int | None
    plain: bool


def parse(arguments: Sequence[str], description: str) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--good", action="store_true", help="an unbiased candidate")
    parser.add_argument("--seed", type=int, default=SEED, help="order and assignment")
    parser.add_argument("--calls", type=int, help="calls to replay at most")
    parser.add_argument("--plain", action="store_true", help="lines, no live view")
    given = parser.parse_args(arguments)
    return Options(
        good=given.good,
        seed=given.seed,
        calls=given.calls or (CALLS_IF_GOOD if given.good else None),
        plain=given.plain or not sys.stdout.isatty(),
    )
