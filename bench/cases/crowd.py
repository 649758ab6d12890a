"""Shell: thousands of clients that come back at once."""

import contextlib
import os
from pathlib import Path

from bench.cases.course import Course, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Child, cpu_s
from bench.way import Site, Way

STEPS_BACK = 10
"""How far the crowd's load client steps back behind all else on its core (nice(1)), also where it is alone.

Clients are elsewhere in the world, and take no time from the servers that share their core here. On a machine where
others are busy a crowd would take for ever: that is no machine to measure on.
"""


async def handshakes(site: Site, plan: Plan, way: Way, case: str) -> Measurement:
    """Time and CPU of TLS and upgrades of the whole crowd."""
    async with running(site, plan, way, plan.crowd, connect=False) as course:
        step_back(course.load)
        async with course.spending(settle=False) as spent:
            told = await come_back(course, plan, way.port, is_bare=True)
        return Measurement(case=case, way=way.name, values=told | {"server_ms": spent.server_s / plan.crowd * 1e3})


async def come_back(course: Course, plan: Plan, port: int, due: int = 0, *, is_bare: bool = False) -> dict[str, float]:
    """Connect the whole crowd at once; return when each is live and has had ``due`` events. Bare: when upgraded.

    ``client_ms`` is CPU of the load client a session: where it is as much as the server's, the server was not alone in
    deciding how long it took.
    """
    await course.load.ask(10, do="target", port=port)
    before_s = cpu_s(course.load.pid)
    asked = {"first": 0, "last": plan.crowd, "at_once": plan.crowd_at_once, "due": due, "bare": is_bare}
    told = await course.load.ask(plan.patience_s, do="come back", within_s=plan.patience_s - 5, **asked)
    return told | {"client_ms": (cpu_s(course.load.pid) - before_s) / plan.crowd * 1e3}


def step_back(load: Child) -> None:
    """Let a crowd's load client leave its core to others that want it.

    Linux may share a core out by session and not by process: then it is the session that steps back.
    """
    os.setpriority(os.PRIO_PROCESS, load.pid, os.getpriority(os.PRIO_PROCESS, load.pid) + STEPS_BACK)
    with contextlib.suppress(OSError):  # it does not
        Path(f"/proc/{load.pid}/autogroup").write_text(f"{STEPS_BACK}\n", encoding="ascii")
