"""Run simulations and print their tables: python -m tests.simulations."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.simulations._report import (
    DOCUMENT,
    PLOTS,
    Options,
    Report,
    Simulation,
    written,
)


def registered() -> Mapping[str, Simulation]:
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
    parser.add_argument("--runs", type=int, default=250, help="runs of a slow row")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", choices=sorted(simulations), help="one simulation")
    parser.add_argument(
        "--write", action="store_true", help=f"into {DOCUMENT.name}, with plots"
    )
    asked = parser.parse_args(arguments)
    options = Options(runs=asked.runs, jobs=asked.jobs)
    for name, simulate in sorted(simulations.items()):
        if asked.only in (None, name):
            report = simulate(options)
            sys.stdout.write(f"## {name}\n\n{report.text}\n\n")
            sys.stdout.flush()
            if asked.write:
                write(name, report)
    return 0


def write(name: str, report: Report) -> None:
    """Write a report into the document, unless it has a page of its own."""
    document = DOCUMENT.read_text()
    if f"<!-- simulated: {name} -->" not in document:
        return
    DOCUMENT.write_text(written(document, name, report.text))
    PLOTS.mkdir(exist_ok=True)
    for plot, draw in report.plots.items():
        (PLOTS / f"{plot}.svg").write_bytes(draw())


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
