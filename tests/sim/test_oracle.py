"""What the oracle holds for a loss and what not: it must neither cry wolf nor sleep."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any
from unittest import mock

import msgspec
import pytest

from replay.record import Owner, Record
from tests.sim.faults import Faults
from tests.sim.oracle import ConnectionChecks, Ledger, Oracle, Violation
from tests.sim.test_traps import CALM
from tests.sim.world import Result, run

STREAM = "EVENTS:1:1"
WITNESSED_S = 5.0
"""After so long a gateway has written down which event it read last."""


def record(through: int) -> Record:
    owner = Owner("issuer", "c1", "phone")
    return Record(stream=STREAM, acked=through, through=through, patterns={"orders.>": 0}, owner=owner, claim="c")


def due_session(seqs: range) -> tuple[Oracle, Ledger]:
    """An oracle that has seen a session's record, and then events for it that are not processed."""
    oracle = Oracle(lambda _seq: False)
    ledger = oracle.ledger("c1")
    oracle.hold(ledger, {"orders.>"})
    oracle.record(ledger, record(seqs.start - 1))
    for seq in seqs:
        oracle.store(seq, "orders.1", seq, is_leak=False)
    return oracle, ledger


def connect(oracle: Oracle, ledger: Ledger, resume: int | None = None) -> ConnectionChecks:
    checks = ConnectionChecks(oracle, ledger, "device")
    position = {} if resume is None else {"resume": {"stream": STREAM, "seq": resume}}
    checks.received({"type": "connect", **position})
    return checks


def test_a_record_that_passes_what_is_not_processed_is_a_loss() -> None:
    oracle, ledger = due_session(range(1, 4))
    with pytest.raises(Violation, match="passes 1"):
        oracle.record(ledger, record(2))


def test_a_record_that_is_stored_before_its_fresh_welcome_is_said_passes_what_an_ended_session_was_due() -> None:
    """P4.8. Seen where an operator had ended the session, and its device signed in anew."""
    oracle, ledger = due_session(range(1, 4))
    oracle.record(ledger, None)
    connect(oracle, ledger)
    oracle.record(ledger, record(2))
    assert list(ledger.pending) == [3]


@pytest.mark.parametrize(("between", "resume"), [(record(0), None), (None, 0)])
def test_what_was_due_has_not_ended_while_a_record_or_a_device_knows_of_it(
    between: Record | None, resume: int | None
) -> None:
    oracle, ledger = due_session(range(1, 4))
    oracle.record(ledger, between)
    connect(oracle, ledger, resume)
    with pytest.raises(Violation, match="passes 1"):
        oracle.record(ledger, record(2))


def test_a_session_that_begins_afresh_is_due_what_comes_after_its_record() -> None:
    oracle, ledger = due_session(range(1, 4))
    oracle.record(ledger, None)
    connect(oracle, ledger)
    oracle.record(ledger, record(2))
    with pytest.raises(Violation, match="passes 3"):
        oracle.record(ledger, record(3))


def test_a_session_may_come_back_with_whatever_was_told_stored_or_said() -> None:
    oracle, ledger = due_session(range(1, 10))
    oracle.life_of(STREAM)
    for number in range(1, 10):
        oracle.process(ledger, number)
    checks = connect(oracle, ledger, 2)
    heard = [oracle.heard_to()]
    window = {"messages": 9, "bytes": 99}
    welcome = {"type": "welcome", "stream": STREAM, "window": window, "from": 3, "outcome": "resumed"}
    frames: list[dict[str, Any]] = [welcome | {"subjects": ["orders.>"]}, {"type": "live", "seq": 4}]
    for frame in frames:
        checks.write(frame, 9, 0.0)
        heard.append(oracle.heard_to())
    checks.received({"type": "ack", "seq": 5})
    heard.append(oracle.heard_to())
    oracle.record(ledger, record(6))
    heard.append(oracle.heard_to())
    assert heard == [2, 3, 4, 5, 6]


def world_of(script: Callable[[Faults], Awaitable[None]]) -> Result:
    """One gateway, nothing published but by the script, which runs where the faults would."""

    async def play(faults: Faults, _for_s: float) -> None:
        await script(faults)

    with mock.patch.object(Faults, "run", play):
        return run(1, options=msgspec.structs.replace(CALM, gateways=1, publish_every_s=1e9))


async def _all_live(faults: Faults) -> None:
    devices = faults.world.devices.values()
    await faults.world._until(
        lambda: all(device.client is not None and device.client.state == "live" for device in devices), 30, "all live"
    )


def _publish(faults: Faults) -> None:
    for subject in faults.world.subjects() * 3:
        faults.world.publish(subject)


def test_a_stream_does_not_fall_back_where_only_the_position_of_a_session_tells_of_it() -> None:
    """docs/decisions/0009: new events would take the sequences, and pass for processed."""

    async def script(faults: Faults) -> None:
        _publish(faults)
        await _all_live(faults)  # welcomed behind what was published
        await faults.world.gateways[0].kill(silently=False)
        faults._fall(Random(1), with_buckets=False)
        assert faults.happened["fell back and nobody could know"] == 1
        await faults.world.gateways[0].start()

    assert not world_of(script).seen["gap stream_replaced"]


def test_a_stream_that_fell_back_while_no_gateway_ran_is_told_by_the_witness_in_the_bucket() -> None:
    """P2.7, P4.10: it has grown past every position again before anybody looks."""

    async def script(faults: Faults) -> None:
        world = faults.world
        await _all_live(faults)
        _publish(faults)
        await _wait(faults, WITNESSED_S)
        await world.gateways[0].kill(silently=False)
        faults._fall(Random(1), with_buckets=False)
        assert world.oracle.life == 1
        await world._until(lambda: world.nats.stream.is_ready, 30, "a leader")
        fell_from = world.published
        _publish(faults)
        assert world.nats.last_seq > fell_from
        await world.gateways[0].start()

    assert world_of(script).seen["gap stream_replaced"] >= 3


async def _wait(faults: Faults, for_s: float) -> None:
    """Virtual seconds."""
    ends_s = faults.world.loop.time() + for_s
    await faults.world._until(lambda: faults.world.loop.time() > ends_s, for_s + 1, "later")
