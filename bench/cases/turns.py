"""Shell: ways that stand side by side and take turns, so that each sees the machine as the others do.

A shared machine does the same work a third slower in one minute than in the next. Ways that were measured minutes apart
would differ by that, whatever they are; ways that take turns of seconds do not.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

from bench.cases.course import Course, attempt, chosen, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.results import figures
from bench.way import Site

Turn = Callable[[], Awaitable[list[Measurement]]]
"""One turn of one way. The same of it each time, so that the median of all turns means something."""
Stand = AbstractAsyncContextManager[Turn]
"""A way's processes and devices while they stand."""
T = TypeVar("T")


async def by_turns(case: str, stands: Mapping[str, Stand], turns: int) -> list[Measurement]:
    """Start all of ``stands``, by way, then give each so many turns; of each value the median of the turns.

    One that fails has failed for good; the others go on.
    """
    measured: list[Measurement] = []
    standing: dict[str, Turn] = {}

    async def begin(stack: AsyncExitStack, name: str) -> list[Measurement]:
        standing[name] = await stack.enter_async_context(stands[name])
        return []

    async with AsyncExitStack() as stack:
        for name in stands:
            measured += await attempt(case, name, begin(stack, name))
        for _ in range(turns):
            for name, turn in list(standing.items()):
                took = await attempt(case, name, turn())
                if any(each.failed for each in took):
                    del standing[name]
                measured += took
    return merged(measured)


def courses(
    site: Site,
    plan: Plan,
    names: Iterable[str],
    sessions: int,
    turn: Callable[[Course], Awaitable[list[Measurement]]],
    *,
    shared: bool = False,
) -> dict[str, Stand]:
    """A stand of each way of ``names`` that was chosen and is there: itself, and devices."""
    return {
        way.name: turning(running(site, plan, way, sessions, shared=shared), turn) for way in chosen(site, plan, names)
    }


@asynccontextmanager
async def turning(
    standing: AbstractAsyncContextManager[T], turn: Callable[[T], Awaitable[list[Measurement]]]
) -> AsyncIterator[Turn]:
    """A stand of whatever a turn needs."""
    async with standing as it:
        yield lambda: turn(it)


def merged(measured: list[Measurement]) -> list[Measurement]:
    """One measurement of each case and way, in the order of their first; failed when one of them has."""
    failed = {each.way: each for each in measured if each.failed}
    notes = {(each.case, each.way): each.note for each in measured}
    good = [each for each in measured if each.way not in failed]
    return [
        Measurement(
            case=case, way=way, values={name: value.median for name, value in values.items()}, note=notes[case, way]
        )
        for (case, way), values in figures(good).items()
    ] + list(failed.values())
