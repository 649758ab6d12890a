"""Scripts about streams, publishing and buckets."""

from collections.abc import Awaitable, Callable

from mesh.topology import Topology
from tests.sim.conformance import Asker, Script, adding_to

FIFTH_NS = 200_000_000

Act = Callable[[], Awaitable[None]]

SCRIPTS: dict[str, Script] = {}
script = adding_to(SCRIPTS)


@script
async def an_empty_stream(ask: Asker) -> None:
    await ask.api("STREAM.INFO", "EVENTS")
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.api("STREAM.INFO", "NOWHERE")
    await ask.get(seq=1, next_by_subj=">")
    await ask.get(last_by_subj="orders.c1.o1")
    await ask.get(seq=1)
    await ask.api("STREAM.PURGE", "EVENTS")
    await ask.api("STREAM.INFO", "EVENTS")


@script
async def a_stream_with_holes(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 3)
    await ask.put("orders.c1.o2", 2, b"yyy", Nats_Msg_Id="m1")
    await ask.put("orders.c2.o1", 6, b"y" * 50)
    for seq in (4, 7, 7, 10, 99):
        await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": seq})
        await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.api("STREAM.INFO", "EVENTS")
    await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": 1})
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 4})
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 7})
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 2})
    await ask.api("STREAM.PURGE", "EVENTS")
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.put("orders.c1.o1", 2)
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})


@script
async def the_next_message_of_a_pattern(ask: Asker) -> None:
    for _ in range(2):
        for subject in ("orders.c1.o1", "orders.c1.o2", "orders.c2.o1", "events.a"):
            await ask.put(subject, 1, subject.encode())
    await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": 5})
    await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": 8})
    for pattern in (">", "orders.>", "orders.*.o1", "orders.c1.o1", "orders.*", "events.a", "events.b"):
        for seq in (0, 1, 2, 5, 8, 9, 50):
            await ask.get(seq=seq, next_by_subj=pattern)


@script
async def the_newest_message_of_a_pattern(ask: Asker) -> None:
    for subject in ("orders.c1.o1", "orders.c1.o2", "orders.c1.o1", "events.a"):
        await ask.put(subject, 1, subject.encode(), Some="header")
    for deleted in (None, 3, 1):
        if deleted is not None:
            await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": deleted})
        for pattern in ("orders.c1.o1", "orders.>", "orders.*.o2", ">", "orders.c9.o1"):
            await ask.get(last_by_subj=pattern)
    for seq in (1, 2, 9):
        await ask.get(seq=seq)


@script
async def a_message_id_is_stored_once(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 1, b"x", Nats_Msg_Id="m1")
    await ask.put("orders.c1.o1", 1, b"x", Nats_Msg_Id="m2")
    await ask.put("orders.c1.o1", 1, b"other", Nats_Msg_Id="m1")
    await ask.put("orders.c1.o1", 2)
    await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": 1})
    await ask.put("orders.c1.o1", 1, b"x", Nats_Msg_Id="m1")
    await ask.api("STREAM.INFO", "EVENTS")


@script
async def events_expire(ask: Asker) -> None:
    config = Topology().configs()[0]
    await ask.make_stream({**config, "max_age": FIFTH_NS, "duplicate_window": FIFTH_NS})
    await ask.put("orders.c1.o1", 3, b"x", Nats_Msg_Id="m1")
    await ask.put("orders.c1.o1", 2)
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=1, no_wait=True)
    await _until_empty(ask, "EVENTS")
    await ask.api("STREAM.INFO", "EVENTS", {"deleted_details": True})
    await ask.pull("d", batch=1, no_wait=True)
    await ask.get(seq=1, next_by_subj=">")
    await ask.put_counted("orders.c1.o1", 1, "d", Nats_Msg_Id="m1")
    await ask.pull("d", batch=1, no_wait=True)


@script
async def a_bucket_takes_a_value_whose_revision_is_right(ask: Asker) -> None:
    await ask.get_key("k")
    await ask.put_key("k", b"too early", 3)
    await ask.put_key("k", b"first", 0)
    await ask.put_key("k", b"again", 0)
    await ask.put_key("k", b"second", 1)
    await ask.get_key("k")
    await ask.put_key("other", b"any")
    await ask.put_key("k", b"old", 1)
    await ask.put_key("k", b"any")
    await ask.put_key("k", b"", KV_Operation="DEL")
    await ask.get_key("k")
    await ask.put_key("k", b"after", 0)
    await ask.put_key("k", b"after", 5)
    await ask.get_key("k")
    most = Topology().cursors.max_value_bytes
    await ask.put_key("k", b"x" * most)
    await ask.put_key("k", b"x" * (most + 1))
    await ask.put_key("k", b"x" * most, 6)
    await ask.put_key("k", b"", KV_Operation="PURGE", Nats_Rollup="sub")
    await ask.get_key("k")
    await ask.api("STREAM.MSG.GET", "KV_cursors", {"last_by_subj": "$KV.cursors.k"})
    await ask.api("STREAM.MSG.GET", "KV_cursors", {"last_by_subj": "$KV.cursors.none"})
    await ask.api("STREAM.INFO", "KV_cursors", {"deleted_details": True})
    await ask.api("STREAM.INFO", "KV_cursors", {"subjects_filter": "$KV.cursors.>", "offset": 0})
    await ask.api("STREAM.INFO", "KV_cursors", {"subjects_filter": "$KV.cursors.>", "offset": 2})


@script
async def many_keys_are_read_at_once(ask: Asker) -> None:
    await ask.get_keys("a", "b")
    for key in ("b", "a", "c", "b"):
        await ask.put_key(key, key.encode())
    await ask.put_key("c", b"", KV_Operation="DEL")
    await ask.get_keys("a", "none", "b", "c", "b")
    await ask.get_keys("c", "none")
    await ask.get_keys("none", "neither")


@script
async def values_expire(ask: Asker) -> None:
    config = Topology().configs()[1]
    await ask.make_stream({**config, "max_age": FIFTH_NS, "duplicate_window": FIFTH_NS})
    await ask.put_key("a", b"1", 0)
    await ask.put_key("b", b"1", 0)
    await ask.put_key("a", b"2", 1)
    await _until_empty(ask, "KV_cursors")
    await ask.get_key("a")
    await ask.put_key("a", b"3", 3)
    await ask.put_key("a", b"3", 0)
    await ask.get_key("a")


async def _until_empty(ask: Asker, stream: str) -> None:
    for _ in range(5_000):
        answer = await ask.api("STREAM.INFO", stream)
        ask.seen.pop()
        if not answer["state"]["messages"]:
            return
    raise AssertionError(f"{stream} is not empty")


async def a_stream_that_falls_back(ask: Asker, keep: Act, fall_back: Act) -> None:
    """``keep`` remembers what the stream holds, ``fall_back`` starts the server anew with no more than that."""
    for n in range(5):
        await ask.put("orders.c1.o1", 1, b"%d" % n, Nats_Msg_Id=f"m{n}")
    await ask.durable("read", "orders.c1.>")
    await ask.durable("beyond", "orders.c1.>")
    await keep()
    for n in range(5, 9):
        await ask.put("orders.c1.o1", 1, b"%d" % n, Nats_Msg_Id=f"m{n}")
    await ask.until_pending("read", 9)
    await ask.pull("read", batch=9, no_wait=True)
    await ask.reset("beyond", 50)
    await ask.feed("feed", 2)
    before = await ask.api("STREAM.INFO", "EVENTS")
    await fall_back()
    after = await ask.api("STREAM.INFO", "EVENTS")
    ask.seen.append(before["created"] == after["created"])
    for consumer in ("read", "beyond", "feed"):
        await ask.info(consumer)
    await ask.put("orders.c1.o1", 1, b"4", Nats_Msg_Id="m4")
    await ask.put("orders.c1.o1", 1, b"6", Nats_Msg_Id="m6")
    await ask.put("orders.c1.o1", 1, b"other")
    for consumer in ("read", "beyond"):
        await ask.until_pending(consumer, 2)
    await ask.pull("read", batch=9, no_wait=True)
    await ask.pull("beyond", batch=9, no_wait=True)
