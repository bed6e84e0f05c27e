"""Simulations that measure what the documentation promises.

A module in this package is a simulation if it has `main(options) -> Report`, whose
text is Markdown with the targets beside the measured numbers. It needs no
registration: `python -m tests.simulations --only NAME` finds it by its name, and
`--write` puts its text and plots where `docs/explanation/statistics.md` has a block of
that name.
"""
