"""Deterministic simulation: the gateway's own code and the client's core in a world made of one seed."""
