"""Benchmarks: each prints ratios against a peer or a limit from the same run."""
