"""TLS on a socket: its handshake, what a client has after it, what a socket that is full does, and its ends."""

import asyncio
import contextlib
import errno
import random
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import tls_transport
from gateway.tls_transport import RECORD_BYTES, USELESS_RECORDS, Flooded, TlsTransport
from security.development import DevelopmentState
from security.tls import ServerTls
from tests.gateway.forged_records import DATA, HANDSHAKE, KEY_UPDATE, ForgedRecords
from tests.gateway.tls_pair import Above, Pair, Peer, pair
from tests.until import until

OVERHEAD_BYTES = 22
"""Of a record in TLS 1.3: its head, its kind and its tag (RFC 8446 5.2)."""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_each_hears_the_other(keys: DevelopmentState, version: ssl.TLSVersion) -> None:
    async with pair(keys, b"welcome", version=version) as both:
        await both.peer.say(b"hello")
        assert await both.peer.hear(7) == b"welcome"
        assert both.above.heard == b"hello"
        assert both.peer.tls.version() == version.name.replace("v1_", "v1.")


async def test_a_client_has_its_ticket_with_the_first_answer(keys: DevelopmentState) -> None:
    async with pair(keys, b"welcome") as both:
        await both.peer.say(b"hello")
        await both.peer.hear(7)
        assert both.peer.tls.session is not None
        assert both.peer.tls.session.has_ticket


async def test_a_handshake_that_stops_is_over_in_time(keys: DevelopmentState) -> None:
    async with pair(keys, meets=False) as both:
        with pytest.raises(TimeoutError):
            await both.server.established(0.01)
        assert not await both.peer.take()
        assert both.above.told == []


async def test_a_peer_that_goes_in_the_middle_of_the_handshake_is_an_error(keys: DevelopmentState) -> None:
    async with pair(keys, meets=False) as both:
        both.peer.socket.close()
        with pytest.raises(OSError, match=r"gone|EOF|closed|reset"):
            await both.server.established(5.0)
        assert both.above.told == []


async def test_what_is_no_tls_ends_with_an_alert(keys: DevelopmentState) -> None:
    async with pair(keys, meets=False) as both:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(both.peer.socket, b"\x16\x03\x01\x00\x05hello" + b"x" * 1_000)
        with pytest.raises(ssl.SSLError):
            await both.server.established(5.0)
        assert (await loop.sock_recv(both.peer.socket, 1))[0] == 21  # alert, RFC 8446 5.1
        assert both.above.told == []


async def test_a_record_that_is_forged_ends_it(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        await asyncio.get_running_loop().sock_sendall(both.peer.socket, b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await until(lambda: both.above.told == ["lost"])
        assert isinstance(both.above.error, ssl.SSLError)
        assert both.above.heard == b""


async def test_a_full_socket_pauses_and_loses_nothing(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        both.server.set_write_buffer_limits(100_000, 50_000)
        said = random.Random(1).randbytes(1_000_000)
        both.server.write(said)
        assert both.above.told == ["pause"]
        assert 100_000 < both.server.get_write_buffer_size() < 1_000_000
        assert await both.peer.hear(len(said)) == said
        await until(lambda: both.server.get_write_buffer_size() == 0)
        assert both.above.told == ["pause", "resume"]


async def test_one_byte_below_the_mark_does_not_pause(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        both.server.write(b"x" * 500_000)
        mark = both.server.get_write_buffer_size()
        both.above.told.clear()
        both.server._is_paused = False
        both.server.set_write_buffer_limits(mark + 1 + OVERHEAD_BYTES, 0)
        both.server.write(b"x")
        assert both.above.told == []
        both.server.write(b"x")
        assert both.above.told == ["pause"]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_written_comes_in_order(keys: DevelopmentState, seed: int) -> None:
    """A record that the socket took in part is written again with more behind it, as OpenSSL wants it."""
    rng = random.Random(seed)
    async with pair(keys, buffer_bytes=4_608) as both:
        said, heard = bytearray(), bytearray()
        for _ in range(200):
            piece = rng.randbytes(rng.choice([1, 300, 5_000, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 40_000]))
            both.server.write(piece)
            said += piece
            if rng.random() < 0.5:
                heard += await both.peer.hear(rng.randrange(1, len(said) - len(heard) + 1))
        heard += await both.peer.hear(len(said) - len(heard))
        assert heard == said
        assert both.server.get_write_buffer_size() == 0


async def test_a_close_comes_behind_all_that_was_written(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        both.server.write(b"x" * 500_000)
        both.server.close()
        both.server.write(b"too late")
        assert both.server.is_closing()
        assert await both.peer.hear(500_001) == b"x" * 500_000
        assert not await both.peer.take()
        both.peer.socket.close()
        await until(lambda: "lost" in both.above.told)
        assert both.above.error is None


@pytest.mark.parametrize("last", [b"", b"x", b"x" * 500_000])
async def test_who_closes_when_it_may_write_again_has_said_all(keys: DevelopmentState, last: bytes) -> None:
    async with pair(keys) as both:

        def end() -> None:
            both.server.write(last)
            both.server.close()

        both.above.resume_writing = end  # type: ignore[method-assign]
        both.server.write(b"x" * 500_000)
        assert len(await both.peer.hear(500_001 + len(last))) == 500_000 + len(last)
        assert not await both.peer.take()
        both.peer.socket.close()
        await until(lambda: both.above.told[-1] == "lost")


async def test_a_peer_that_never_closes_is_cut(keys: DevelopmentState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "SHUTDOWN_S", 0.02)
    async with pair(keys) as both:
        both.server.close()
        await both.peer.say(b"and yet")
        await until(lambda: both.above.told == ["lost"])
        assert both.above.heard == b""


async def test_a_peer_that_takes_nothing_is_cut(keys: DevelopmentState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "SHUTDOWN_S", 0.02)
    async with pair(keys) as both:
        both.server.write(b"x" * 600_000)
        both.server.close()
        await until(lambda: both.above.told[-1:] == ["lost"])


async def test_a_peer_that_ends_is_answered(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        with pytest.raises(ssl.SSLWantReadError):
            both.peer.tls.unwrap()
        await both.peer.give()
        assert await both.peer.hear(1) == b""
        both.peer.socket.close()
        await until(lambda: both.above.told == ["eof", "lost"])
        assert both.above.error is None


async def test_a_peer_that_goes_without_a_word_of_tls_has_ended(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        await both.peer.say(b"last")
        both.peer.socket.shutdown(socket.SHUT_WR)  # of the plain socket: no close_notify
        await until(lambda: "eof" in both.above.told)
        assert (both.above.heard, both.server.is_closing()) == (b"last", True)


async def test_a_peer_that_has_gone_before_the_handshake_is_an_error(keys: DevelopmentState) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listening.getsockname())
    ours, _ = listening.accept()
    listening.close()
    ours.setblocking(False)  # noqa: FBT003  # positional only
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await until(lambda: ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET)
    above = Above()
    with pytest.raises(ConnectionResetError, match="gone"):
        await TlsTransport(ours, above, ServerTls(keys.certificate, keys.key, time.time()).context).established(5.0)
    assert above.told == []


async def test_the_end_is_told_after_a_reset(keys: DevelopmentState) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listening.getsockname())
    ours, _ = listening.accept()
    listening.close()
    for end in (ours, theirs):
        end.setblocking(False)  # noqa: FBT003  # positional only
    above = Above()
    server = TlsTransport(ours, above, ServerTls(keys.certificate, keys.key, time.time()).context)
    peer = Peer(keys.ca, theirs, ssl.TLSVersion.TLSv1_3)
    await asyncio.gather(server.established(5.0), peer.shake_hands())
    assert server.get_extra_info("peername") == theirs.getsockname()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    await until(lambda: above.told[-1:] == ["lost"])
    server.write(b"nobody is there")
    server.close()
    server.abort()


async def test_what_comes_in_pieces_of_records_is_whole(keys: DevelopmentState) -> None:
    rng = random.Random(1)
    async with pair(keys) as both:
        said = rng.randbytes(100_000)
        for at in range(0, len(said), 7_000):
            both.peer.tls.write(said[at : at + 7_000])
        sealed = both.peer._outgoing.read()
        at = 0
        while at < len(sealed):
            size = rng.choice([1, 4, 5, 6, 100, 3_000])
            await asyncio.get_running_loop().sock_sendall(both.peer.socket, sealed[at : at + size])
            at += size
            await asyncio.sleep(0)
        await until(lambda: both.above.heard == said)


@asynccontextmanager
async def forging(keys: DevelopmentState, folder: Path) -> AsyncIterator[tuple[Pair, ForgedRecords]]:
    """A pair after its handshake, whose client may say what it likes."""
    async with pair(keys, meets=False) as both:
        both.peer.tls.context.keylog_filename = str(folder / "keys.log")
        await both.meet()
        assert both.peer.tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        yield both, ForgedRecords(folder / "keys.log")


async def test_key_updates_without_end_are_cut(keys: DevelopmentState, tmp_path: Path) -> None:
    """Each costs us as much as data; OpenSSL alone would read them as long as they come, and nobody else be served."""
    async with forging(keys, tmp_path) as (both, forged):
        loop = asyncio.get_running_loop()
        for _ in range(3):  # so many in a row, again and again, are a strange peer and no more
            flood = b"".join(forged.key_update() for _ in range(USELESS_RECORDS))
            await loop.sock_sendall(both.peer.socket, flood + forged.record(DATA, b"x"))
        await until(lambda: both.above.heard == b"xxx")
        flood = b"".join(forged.key_update() for _ in range(USELESS_RECORDS + 1))
        await loop.sock_sendall(both.peer.socket, flood + forged.record(DATA, b"too late"))
        await until(lambda: both.above.told == ["lost"])
        assert isinstance(both.above.error, Flooded)
        assert both.above.heard == b"xxx"


async def test_empty_records_without_end_are_cut(keys: DevelopmentState, tmp_path: Path) -> None:
    async with forging(keys, tmp_path) as (both, forged):
        flood = b"".join(forged.record(DATA, b"") for _ in range(USELESS_RECORDS + 1))
        await asyncio.get_running_loop().sock_sendall(both.peer.socket, flood)
        await until(lambda: both.above.told == ["lost"])


async def test_nobody_writes_to_who_left_a_handshake_message_half_said(keys: DevelopmentState, tmp_path: Path) -> None:
    """OpenSSL wants the rest before it writes: waiting for the socket to take bytes would never end."""
    async with forging(keys, tmp_path) as (both, forged):
        said = forged.record(DATA, b"x") + forged.record(HANDSHAKE, KEY_UPDATE[:4])
        await asyncio.get_running_loop().sock_sendall(both.peer.socket, said)
        await until(lambda: both.above.heard == b"x")
        both.server.write(b"answer")
        await until(lambda: both.above.told == ["lost"])
        assert isinstance(both.above.error, ssl.SSLWantReadError)


async def test_a_record_that_says_it_is_too_long_is_refused_at_once(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        await asyncio.get_running_loop().sock_sendall(both.peer.socket, b"\x17\x03\x03\xff\xff" + b"x" * 100)
        await until(lambda: both.above.told == ["lost"])
        assert isinstance(both.above.error, ssl.SSLError)


async def test_the_next_protocol_hears_that_the_socket_is_full(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        both.server.write(b"x" * 600_000)
        then = Above()
        both.server.set_protocol(then)
        assert both.server.get_protocol() is then
        assert then.told == ["pause"]


async def test_a_socket_that_is_full_in_the_handshake_gets_the_rest_of_it(keys: DevelopmentState) -> None:
    async with pair(keys, meets=False, buffer_bytes=4_608) as both:
        ours, loop = both.server.get_extra_info("socket"), asyncio.get_running_loop()
        other = 0  # bytes that are in the way
        with contextlib.suppress(BlockingIOError):
            while True:
                other += ours.send(b"x" * 100)
        with pytest.raises(ssl.SSLWantReadError):
            both.peer.tls.do_handshake()
        await both.peer.give()
        await until(lambda: both.server.get_write_buffer_size() > 0)
        while other:
            other -= len(await loop.sock_recv(both.peer.socket, other))
        await asyncio.gather(both.server.established(5.0), both.peer.shake_hands())
        await both.peer.say(b"hello")
        await until(lambda: both.above.heard == b"hello")


async def test_who_does_not_read_is_not_given_more(keys: DevelopmentState) -> None:
    async with pair(keys) as both:
        both.server.pause_reading()
        await both.peer.say(b"one")
        for _ in range(20):
            await asyncio.sleep(0)
        assert (both.above.heard, both.server.is_reading()) == (b"", False)
        both.server.resume_reading()
        await until(lambda: both.above.heard == b"one")
