"""Publishing by hand over NATS's own protocol, as a publisher in any language may: nothing is checked or escaped."""

import asyncio

import msgspec

from mesh.embedded import EmbeddedServer


class _Ack(msgspec.Struct):
    seq: int


class RawMessage(msgspec.Struct, frozen=True):
    """What is published, in bytes; ``header`` is the whole block, status line and blank line included."""

    subject: bytes
    body: bytes = b""
    header: bytes | None = None


async def publish_raw(server: EmbeddedServer, *messages: RawMessage) -> list[int]:
    """Publish as user ``publisher``; returns the sequences once all are stored. Nobody else must publish meanwhile.

    Only the last one asks for an acknowledgement: the others are as plain as a message can be.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        login = {"verbose": False, "headers": True, "protocol": 1, "user": "publisher"}
        login["pass"] = server.password("publisher").reveal()
        writer.write(b"CONNECT " + msgspec.json.encode(login) + b"\r\nSUB _INBOX_pub.raw 1\r\n")
        for left, message in zip(range(len(messages) - 1, -1, -1), messages, strict=True):
            head = message.subject + (b"" if left else b" _INBOX_pub.raw")
            if message.header is None:
                writer.write(b"PUB %s %d\r\n%s\r\n" % (head, len(message.body), message.body))
            else:
                size = len(message.header)
                total = size + len(message.body)
                writer.write(b"HPUB %s %d %d\r\n%s%s\r\n" % (head, size, total, message.header, message.body))
        await writer.drain()
        while True:
            line = await reader.readuntil(b"\r\n")
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
            elif line.startswith(b"MSG"):
                last = msgspec.json.decode(await reader.readexactly(int(line.split()[-1])), type=_Ack).seq
                return list(range(last - len(messages) + 1, last + 1))
            else:
                assert line.startswith((b"INFO", b"+OK", b"PONG")), line
    finally:
        writer.close()
        await writer.wait_closed()
