"""Benchmarks: every claim of speed is a ratio measured here, in one run."""
