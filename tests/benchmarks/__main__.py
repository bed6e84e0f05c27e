"""Run all benchmarks and print their tables: python -m tests.benchmarks."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path


def registered() -> dict[str, Callable[[], str]]:
    """Return every benchmark by name: modules of this folder with `main`."""
    names = (
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    )
    return {
        name: importlib.import_module(f"tests.benchmarks.{name}").main
        for name in names
        if not name.startswith("_")
    }


def run(arguments: list[str]) -> int:
    """Run the benchmarks that were asked for."""
    benchmarks = registered()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--only", choices=sorted(benchmarks), help="one benchmark")
    options = parser.parse_args(arguments)
    for name, measure in sorted(benchmarks.items()):
        if options.only in (None, name):
            sys.stdout.write(f"## {name}\n\n{measure()}\n\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
