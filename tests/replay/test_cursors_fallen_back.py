"""An older copy of the cursor bucket is put back: nobody is taken over by a record of before."""

import time
from pathlib import Path

import pytest

from mesh.api import Api
from mesh.kv import Bucket, Conflict
from mesh.topology import Topology
from replay.cursors import Cursor, Cursors
from replay.record import Owner, Record
from tests.older_copy import OlderCopy
from tests.servers import linked, running_server

KEY = "s-fallen"
HOUR_S = 3_600


def record(claim: str, acked: int, saved_s: int) -> Record:
    return Record("EVENTS:1", acked, acked, {"orders.c1.>": 0}, Owner("i", "c1", "phone"), claim, saved_s=saved_s)


async def claimed(cursors: Cursors, claim: str, acked: int, saved_s: int) -> int:
    known = await cursors.load(KEY, from_leader=True)
    revision = await cursors.claim(KEY, record(claim, acked, saved_s), known)
    assert not isinstance(revision, Conflict)
    return revision


@pytest.mark.parametrize("is_taken_over", [False, True])
async def test_a_record_of_before_ends_nobody_and_a_takeover_since_does(tmp_path: Path, *, is_taken_over: bool) -> None:
    now_s = int(time.time())
    lost: list[bool] = []
    async with (
        running_server(tmp_path / "nats", topology=Topology()) as server,
        linked(server, user="gateway", backoff_max_s=0.2) as link,
    ):
        here, there = (Cursors(Bucket(link, Api(link), "cursors"), save_within_s=0.02) for _ in range(2))
        await claimed(there, "before", 3, now_s - HOUR_S)
        copy = OlderCopy(server, tmp_path / "copy")
        await copy.take()
        await link.wait_up(10)
        cursor = Cursor(
            *(KEY, "now", await claimed(here, "now", 5, now_s)), lambda: record("now", 8, now_s), lost.append
        )
        assert await here.save(cursor)
        await copy.put_back(bucket_too=True)
        await link.wait_up(10)
        if is_taken_over:
            revision = await claimed(there, "since", 3, now_s + 1)
            assert revision < cursor.revision, "revisions are given out again"
        assert await here.save(cursor) is not is_taken_over
        assert lost == ([False] if is_taken_over else [])
        stored = (await there.load(KEY, from_leader=True)).record
        assert stored is not None
        assert (stored.claim, stored.acked) == (("since", 3) if is_taken_over else ("now", 8))
