"""Benchmarks: the library beside straight hand-written programs for the same work. `python -m tests.benchmarks --help`."""
