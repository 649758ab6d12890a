"""The ways of delivering that are compared, by name: each is made for a `Site` and starts its own processes."""

from bench.ways.registry import WAYS

__all__ = ["WAYS"]
