"""The load client reads whole messages, however the bytes are cut."""

import pytest

from bench.websocket import client_text, server_text, take_messages


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
def test_a_message_is_read_whole_from_any_pieces(size: int) -> None:
    sent = server_text(b"x" * size) + server_text(b"y")
    received = bytearray()
    taken: list[tuple[int, bytes]] = []
    for start in range(0, len(sent), 50):
        received += sent[start : start + 50]
        taken += take_messages(received)
    assert taken == [(1, b"x" * size), (1, b"y")]
    assert not received


def test_a_long_message_is_read() -> None:
    received = bytearray(b"\x81\x7f" + (70_000).to_bytes(8) + b"x" * 70_000)
    assert take_messages(received) == [(1, b"x" * 70_000)]


@pytest.mark.parametrize(("size", "head"), [(5, b"\x81\x85"), (126, b"\x81\xfe\x00\x7e")])
def test_a_clients_message_is_masked(size: int, head: bytes) -> None:
    assert client_text(b"x" * size) == head + b"\0\0\0\0" + b"x" * size
