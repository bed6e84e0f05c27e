"""Run simulations and print their tables: python -m tests.simulations."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path


Simulation = Callable[[int], str]


def registered() -> dict[str, Simulation]:
    """Return every simulation by name: modules with `main`, private ones aside."""
    found: dict[str, Simulation] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            imported = importlib.import_module(f"tests.simulations.{module.name}")
            if hasattr(imported, "main"):
                found[module.name] = imported.main
    return found


def run(arguments: list[str]) -> int:
    """Run the simulations that were asked for."""
    simulations = registered()
    parser = argparse.ArgumentParser(prog="python -m tests.simulations")
    parser.add_argument("--runs", type=int, default=1000, help="runs per row")
    parser.add_argument("--only", choices=sorted(simulations), help="one simulation")
    options = parser.parse_args(arguments)
    for name, simulate in sorted(simulations.items()):
        if options.only in (None, name):
            sys.stdout.write(f"## {name}\n\n{simulate(options.runs)}\n\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
