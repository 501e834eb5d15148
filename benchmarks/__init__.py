"""Repeatable measurements, each printed beside its baseline as a ratio of one run; never part of the tests.

``python -m benchmarks`` from the repository's root runs them all; README.md tells how to read them.
"""
