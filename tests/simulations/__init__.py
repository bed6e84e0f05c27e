"""Simulations that measure what the documentation promises.

A module in this package is a simulation if it has `main(runs: int) -> str`, which
returns a Markdown table with the targets beside the measured numbers. It needs no
registration: `python -m tests.simulations --only NAME` finds it by its name.
"""
