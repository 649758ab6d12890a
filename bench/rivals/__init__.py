"""Servers of others that the benchmark measures beside Tidewire: how they are got, and what they are told."""
