"""Shell: sessions at rest, written straight into the cursor bucket as a gateway would have left them.

That stands for the weeks in which so many devices came and went. A parked session is nothing else: its record, and for
a day its durable, which is not made here.
"""

import asyncio
from collections.abc import Iterator

import msgspec

from bench.plan import session_name, subject
from bench.process import Failed
from mesh.api import Api
from mesh.kv import Bucket, Conflict
from mesh.link import Link
from replay.record import Owner, Record, decode_record, encode_record, session_key
from security.development_names import DEVELOPMENT_ISSUER

UNDER_WAY = 1_000
"""Writes without an answer at once."""


def owner_of(number: int) -> Owner:
    """Whose session a number is, as the load client opens it."""
    return Owner(DEVELOPMENT_ISSUER, f"c{number}", session_name(number))


def parked(left: Record, first: int, last: int) -> Iterator[tuple[str, bytes]]:
    """Key and value of the sessions from ``first`` to below ``last``, which have processed what ``left`` has.

    ``left`` is what a real session has left behind.
    """
    since = min(left.patterns.values())
    for number in range(first, last):
        owner = owner_of(number)
        record = msgspec.structs.replace(
            left,
            owner=owner,
            patterns={subject(number): since},
            claim=f"{number:016x}",
            gateway="",
            untold=None,
        )
        yield session_key(owner), encode_record(record)


async def record_of(link: Link, bucket: str, owner: Owner) -> Record:
    """What a session has left behind. Raises ``Failed`` when there is nothing."""
    entry = await Bucket(link, Api(link), bucket).get(session_key(owner))
    record = decode_record(entry.value) if entry is not None else None
    if record is None:
        raise Failed(f"nothing is stored of session {owner.session}")
    return record


async def park(link: Link, bucket: str, records: Iterator[tuple[str, bytes]]) -> int:
    """Write records, a thousand at once; returns how many. Each must be the first of its session."""
    store = Bucket(link, Api(link), bucket, timeout_s=30.0)
    written = 0

    async def write() -> None:
        nonlocal written
        for key, value in records:  # one iterator for all: each record is taken once
            if isinstance(await store.put(key, value, revision=0), Conflict):
                raise Failed(f"{key} is there already")
            written += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(UNDER_WAY):
            group.create_task(write())
    return written
