"""What is sent over nats-py's client: together, in order, and never as a command of its own."""

import pytest

from mesh.embedded import EmbeddedServer
from mesh.link import Link
from mesh.nats_client import TOGETHER_BYTES
from security.errors import UpstreamUnavailable
from tests.servers import linked
from tests.until import until

SAY = "tidewire.gateway"
"""Subjects that user ``gateway`` may both publish and read."""

Heard = list[tuple[bytes, bytes, bytes, bytes]]


async def tapped(link: Link, subject: str) -> Heard:
    """What a new tap hears, and the server knows of."""
    heard: Heard = []
    await link.tap(subject, lambda *message: heard.append(message))
    await link.request("$JS.API.STREAM.INFO.EVENTS")  # answered after the subscription was taken
    return heard


async def test_messages_of_one_round_are_written_together_and_in_order(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link, f"{SAY}.n")
        socket = WrittenSocket(link)
        for n in range(5):
            await link.publish(f"{SAY}.n", b"%d" % n, headers={"A": "b"} if n % 2 else None)
        assert not socket.written
        await until(lambda: len(heard) == 5)
        assert [(data, headers) for _, _, data, headers in heard] == [
            (b"%d" % n, b"NATS/1.0\r\nA: b\r\n\r\n" if n % 2 else b"") for n in range(5)
        ]
        assert len(socket.written) == 1
        await link.publish(f"{SAY}.n", b"x" * TOGETHER_BYTES)
        assert len(socket.written) == 2, "what is long does not wait"
        await link.publish(f"{SAY}.n", b"last")
        await link._client._send_command(b"PING\r\n")  # type: ignore[union-attr]
        assert b"last" in socket.written[2], "a command overtakes no message"


class WrittenSocket:
    """Notes what a link writes."""

    def __init__(self, link: Link) -> None:
        self.written: list[bytes] = []
        assert link._client is not None
        self._socket = link._client._socket
        link._client._socket = self  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self._socket.write(data)

    def is_closing(self) -> bool:
        return self._socket.is_closing()


async def test_what_was_sent_before_the_close_arrives(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as other:
        heard = await tapped(other, f"{SAY}.n")
        async with linked(nats_server, user="gateway") as link:
            await link.publish(f"{SAY}.n", b"1")
        await until(lambda: heard)


@pytest.mark.parametrize(
    ("subject", "reply", "headers"),
    [
        ("", "", {}),
        (f"{SAY}.n x", "", {}),
        (f"{SAY}.n\r\nPING", "", {}),
        (f"{SAY}.n\tx", "", {}),
        (f"{SAY}.n", "a\nb", {}),
        (f"{SAY}.n", "", {"A\r\nB": "c"}),
        (f"{SAY}.n", "", {"": "c"}),
    ],
)
async def test_what_would_be_a_command_of_its_own_is_not_sent(
    nats_server: EmbeddedServer, subject: str, reply: str, headers: dict[str, str]
) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link, f"{SAY}.>")
        with pytest.raises(UpstreamUnavailable):
            await link.publish(subject, b"1", reply=reply, headers=headers)
        with pytest.raises(UpstreamUnavailable):
            await link.publish(f"{SAY}.n", b"x" * 2**20 + b"x")
        await link.publish(f"{SAY}.n", b"2", headers={"A": " b\r\nC: d\n"})
        await until(lambda: heard)
        assert [(data, block) for _, _, data, block in heard] == [(b"2", b"NATS/1.0\r\nA: b  C: d\r\n\r\n")]
