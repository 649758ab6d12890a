"""What is measured: a case is `async def NAME(site: Site, plan: Plan) -> list[Measurement]`."""

from bench.cases.registry import CASES

__all__ = ["CASES"]
