"""Scripts about consumers and pulls."""

from tests.sim.conformance import Asker, Script, adding_to

TENTH_NS = 100_000_000

SCRIPTS: dict[str, Script] = {}
script = adding_to(SCRIPTS)


@script
async def a_start_below_the_first_is_clamped_and_one_beyond_the_end_is_waited_for(ask: Asker) -> None:
    await ask.feed("empty", 1)
    await ask.feed("beyond", 7)
    await ask.put_counted("orders.c1.o1", 12, "empty")
    await ask.pull("empty", batch=2, no_wait=True)
    await ask.pull("beyond", batch=2, no_wait=True)
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 5})
    await ask.feed("clamped", 2)
    await ask.pull("clamped", batch=1, no_wait=True)
    await ask.feed("next", 13)
    await ask.feed("far", 50)
    await ask.put_counted("orders.c1.o1", 1, "next")
    await ask.pull("next", batch=1, no_wait=True)
    await ask.pull("far", batch=1, no_wait=True)


@script
async def creating_again_keeps_the_position(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 4)
    await ask.put("orders.c2.o1", 2)
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=2, no_wait=True)
    await ask.durable("d", "orders.c1.>")
    await ask.durable("d", "orders.c2.>", "orders.c1.o1")
    await ask.info("d")
    await ask.pull("d", batch=9, no_wait=True)
    await ask.durable("all")
    await ask.pull("all", batch=9, no_wait=True)


@script
async def what_was_passed_over_stays_so_after_another_filter(ask: Asker) -> None:
    """What a consumer has looked at and not delivered is not looked at again, though its position seems lower."""
    await ask.put("orders.c1.o1", 3)
    await ask.durable("waited", "orders.c3.>")
    await ask.pull("waited", batch=3, expires=TENTH_NS)
    await ask.durable("waited", "orders.c1.>")
    await ask.pull("waited", batch=3, no_wait=True)
    await ask.durable("asked", "orders.c3.>")
    await ask.pull("asked", batch=3, no_wait=True)
    await ask.durable("asked", "orders.c1.>")
    await ask.pull("asked", batch=3, no_wait=True)


@script
async def creating_what_exists_and_changing_what_is_fixed_are_refused(ask: Asker) -> None:
    await ask.durable("d", "orders.c1.>")
    await ask.durable("d", "orders.c1.>", action="create")
    await ask.durable("d", "orders.c2.>", action="create")
    await ask.durable("d", "orders.c1.>", deliver_policy="new")
    await ask.durable("d", "orders.c1.>", ack_policy="explicit")
    await ask.feed("f", 3)
    await ask.feed("f", 3)
    await ask.feed("f", 4)
    await ask.feed("f", 4, action="")
    await ask.durable("d", "orders.c1.>", "orders.c1.o1")
    await ask.durable("d", "orders.*.o1", "orders.c1.*")
    await ask.durable("d", "orders.c1.o1", "orders.c1.o1")
    await ask.durable("d", "orders.c1.o1", "orders.c1.o1.x", "orders.*.o2")
    await ask.durable("d", "elsewhere.>")
    await ask.api("CONSUMER.CREATE", "NOWHERE.d", {"stream_name": "NOWHERE", "config": {"name": "d"}, "action": ""})


@script
async def a_reset_moves_anywhere_and_numbers_begin_again(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 10)
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 4})
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=3, no_wait=True)
    for seq in (6, 0, 1, 11, 20, None):
        await ask.reset("d", seq)
        await ask.pull("d", batch=2, no_wait=True)
        await ask.info("d")
    await ask.put("orders.c1.o1", 3)
    await ask.pull("d", batch=2, no_wait=True)
    await ask.reset("d", 5)
    await ask.durable("d", "orders.c2.>")
    await ask.put_counted("orders.c2.o1", 2, "d")
    await ask.pull("d", batch=9, no_wait=True)
    await ask.reset("d", 1)
    await ask.pull("d", batch=9, no_wait=True)


@script
async def a_reset_of_no_consumer_is_not_answered(ask: Asker) -> None:
    await ask.api("CONSUMER.RESET", "EVENTS.nobody", {"seq": 1}, within_s=0.3)


@script
async def a_reset_and_another_filter_reach_a_pull_that_waits(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 5)
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=9, no_wait=True)
    ask.forget()
    await ask.send_pull("d", batch=4, expires=3 * TENTH_NS)
    await ask.until_waiting("d", 1)
    await ask.reset("d", 3)
    await ask.ended(1)
    ask.note()
    ask.forget()
    await ask.send_pull("d", batch=4, expires=3 * TENTH_NS)
    await ask.until_waiting("d", 1)
    await ask.durable("d", "orders.c2.>")
    await ask.put("orders.c1.o1")
    await ask.put("orders.c2.o1")
    await ask.ended(1)
    ask.note()


@script
async def a_pull_ends_full_empty_or_late(ask: Asker) -> None:
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=5, no_wait=True)
    await ask.put_counted("orders.c1.o1", 5, "d")
    await ask.put("orders.c2.o1", 1)
    await ask.pull("d", batch=2, no_wait=True)
    await ask.pull("d", batch=5, no_wait=True)
    await ask.pull("d", batch=20, expires=TENTH_NS)
    await ask.pull("d", batch=20, max_bytes=5000, expires=TENTH_NS)
    ask.forget()
    await ask.send_pull("d", batch=5, expires=5 * TENTH_NS)
    await ask.put_to_waiting("orders.c1.o1", 3)
    await ask.ended(1)
    ask.note()


@script
async def a_pull_of_bytes_ends_before_the_message_that_is_too_large(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 2, b"y" * 100)
    await ask.put("orders.c1.o1", 1, b"y" * 300, Some="header")
    await ask.put("orders.c1.o1", 2)
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=1, max_bytes=1, no_wait=True)
    ask.forget()
    await ask.send_pull("d", batch=10, max_bytes=400, no_wait=True)
    await ask.ended(1)
    for _, reply, _, _ in ask.deliveries:
        ask.seen.append(len(reply))
    ask.seen.append([status.split("Nats-Pending-Messages")[0] for _, status in ask.statuses])
    await ask.pull("d", batch=10, max_bytes=300, expires=TENTH_NS)
    await ask.pull("d", batch=1, no_wait=True)
    await ask.pull("d", batch=10, max_bytes=100_000, no_wait=True)
    await ask.pull("d", batch=10, max_bytes=1, no_wait=True)


@script
async def heartbeats_come_while_a_pull_waits(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 2)
    await ask.feed("f", 2)
    await ask.pull("f", batch=5, expires=5 * TENTH_NS, idle_heartbeat=2 * TENTH_NS)
    await ask.pull("f", batch=5, expires=TENTH_NS, idle_heartbeat=TENTH_NS)


@script
async def a_deleted_consumer_is_gone(ask: Asker) -> None:
    await ask.info("d")
    await ask.durable("d", "orders.c1.>")
    await ask.api("CONSUMER.DELETE", "EVENTS.d")
    await ask.api("CONSUMER.DELETE", "EVENTS.d")
    await ask.info("d")
    await ask.pull("d", batch=2, no_wait=True)


@script
async def a_pull_that_waits_hears_of_the_deletion(ask: Asker) -> None:
    await ask.durable("d", "orders.c1.>")
    ask.forget()
    await ask.send_pull("d", batch=5, expires=20 * TENTH_NS)
    await ask.until_waiting("d", 1)
    await ask.api("CONSUMER.DELETE", "EVENTS.d")
    await ask.ended(1)
    ask.note()


@script
async def pulls_that_wait_are_served_in_turn(ask: Asker) -> None:
    await ask.durable("d", "orders.c1.>")
    ask.forget()
    await ask.send_pull("d", batch=3, expires=4 * TENTH_NS)
    await ask.send_pull("d", batch=3, expires=4 * TENTH_NS)
    await ask.until_waiting("d", 2)
    await ask.send_pull("d", batch=3, no_wait=True)
    await ask.put_to_waiting("orders.c1.o1", 4)
    await ask.ended(3)
    ask.note()


@script
async def numbers_begin_again_with_a_new_consumer(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 4)
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=3, no_wait=True)
    await ask.api("CONSUMER.DELETE", "EVENTS.d")
    await ask.durable("d", "orders.c1.>")
    await ask.pull("d", batch=3, no_wait=True)


@script
async def pulls_go_over_what_was_deleted(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 12)
    await ask.durable("d", "orders.c1.>")
    for seq in (1, 3, 4, 12):
        await ask.api("STREAM.MSG.DELETE", "EVENTS", {"seq": seq})
    await ask.info("d")
    await ask.pull("d", batch=3, no_wait=True)
    await ask.api("STREAM.PURGE", "EVENTS", {"seq": 10})
    await ask.until_pending("d", 2)
    await ask.info("d")
    await ask.pull("d", batch=1, no_wait=True)
    await ask.api("STREAM.PURGE", "EVENTS")
    await ask.until_pending("d", 0)
    await ask.info("d")
    await ask.api("STREAM.INFO", "EVENTS")
    await ask.get(seq=1, next_by_subj=">")
    await ask.pull("d", batch=1, no_wait=True)
    await ask.put_counted("orders.c1.o1", 2, "d")
    await ask.pull("d", batch=1, no_wait=True)
    await ask.reset("d", 3)
    await ask.pull("d", batch=1, no_wait=True)
    await ask.durable("late", "orders.c1.>")
    await ask.info("late")


@script
async def events_come_as_they_were_published(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 1, b"", Nats_Msg_Id="m1")
    await ask.put("orders.c1.o1", 1, b"payload", Status="404", Description="forged")
    await ask.put("events.a", 1)
    await ask.feed("f", 1)
    await ask.pull("f", batch=3, no_wait=True)


@script
async def only_a_pull_keeps_a_consumer(ask: Asker) -> None:
    await ask.durable("kept", "orders.c1.>", inactive_threshold=4 * TENTH_NS)
    await ask.durable("lost", "orders.c1.>", inactive_threshold=4 * TENTH_NS)
    ask.seen.clear()
    is_lost = False
    for _ in range(40):
        # asked and not counted: how often differs
        await ask.pull("kept", batch=1, max_bytes=1, expires=TENTH_NS // 2)
        is_lost = "error" in await ask.info("lost")
        if is_lost:
            break
    ask.seen.clear()
    ask.seen.append(is_lost)
    await ask.info("kept")
    await ask.info("lost")


@script
async def a_deleted_stream_takes_its_consumers_along(ask: Asker) -> None:
    await ask.put("orders.c1.o1", 3, b"x", Nats_Msg_Id="m1")
    await ask.durable("d", "orders.c2.>")
    before = await ask.api("STREAM.INFO", "EVENTS")
    ask.forget()
    await ask.send_pull("d", batch=5, expires=20 * TENTH_NS)
    await ask.until_waiting("d", 1)
    await ask.api("STREAM.DELETE", "EVENTS")
    await ask.ended(1)
    ask.note()
    await ask.put("orders.c1.o1")
    await ask.pull("d", batch=1, no_wait=True)
    await ask.info("d")
    await ask.api("STREAM.INFO", "EVENTS")
    await ask.api("STREAM.CREATE", "EVENTS", before["config"])
    after = await ask.api("STREAM.INFO", "EVENTS")
    ask.seen.append(before["created"] == after["created"])
    await ask.info("d")
    await ask.put("orders.c1.o1", 1, b"x", Nats_Msg_Id="m1")
