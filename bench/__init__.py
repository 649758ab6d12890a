"""Benchmarks: what a delivered event costs, beside the obvious way and a floor, on real processes (`make bench`)."""
