"""Steps of handshakes wait for their turn, and what comes meanwhile costs nobody else anything."""

import asyncio
import contextlib
import ssl
from functools import partial

import pytest

from gateway.tls_transport import READ_BYTES, RECORD_BYTES, TlsTransport
from gateway.turns import Turns
from security.development import DevelopmentState
from tests.gateway.forged_records import HANDSHAKE
from tests.gateway.tls_pair import pair


async def test_steps_of_handshakes_wait_for_their_turn(keys: DevelopmentState) -> None:
    turns = Turns(2)
    taken: list[int] = []
    for number in range(5):
        turns.take(partial(taken.append, number))
    assert taken == [0, 1]
    for so_far in ([0, 1, 2, 3], [0, 1, 2, 3, 4]):
        await asyncio.sleep(0)
        assert taken == so_far


async def test_bytes_that_wait_for_their_turn_are_told_of_once(
    keys: DevelopmentState, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, reads = Turns(1), 0
    received = TlsTransport._received

    def counted(transport: TlsTransport) -> bytes | None:
        nonlocal reads
        reads += 1
        return received(transport)

    monkeypatch.setattr(TlsTransport, "_received", counted)
    waiting = 50  # turns of the loop
    async with pair(keys, meets=False, turns=turns) as both:
        for _ in range(waiting):
            turns.take(lambda: None)
        with pytest.raises(ssl.SSLWantReadError):
            both.peer.tls.do_handshake()
        await both.peer.give()
        for _ in range(waiting // 2):
            await asyncio.sleep(0)
        assert reads == 1
        await both.meet()


async def test_a_first_message_that_is_longer_than_a_read_is_taken(keys: DevelopmentState) -> None:
    long = tuple(f"{number:0255}" for number in range(READ_BYTES // 255 + 1))
    async with pair(keys, b"welcome", turns=Turns(1), alpn=long) as both:
        await both.peer.say(b"hello")
        assert await both.peer.hear(7) == b"welcome"


async def test_who_waits_for_a_turn_is_not_listened_to_without_end(keys: DevelopmentState) -> None:
    turns = Turns(1)
    async with pair(keys, meets=False, turns=turns) as both:
        for _ in range(50):
            turns.take(lambda: None)
        said = bytes((HANDSHAKE, 3, 1, 64, 0)) + bytes(2 * RECORD_BYTES)
        left = memoryview(said)
        for _ in range(40):
            with contextlib.suppress(BlockingIOError):
                left = left[both.peer.socket.send(left) :]
            await asyncio.sleep(0)
        assert READ_BYTES <= both.server._heard.pending < 2 * READ_BYTES
        with pytest.raises(ssl.SSLError):
            await both.server.established(5.0)
