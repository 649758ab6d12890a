"""The load client reads whole messages, however the bytes are cut."""

import pytest

from bench.websocket import client_binary, client_text, messages, server_text, upgrade


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
def test_a_message_is_read_whole_from_any_pieces(size: int) -> None:
    sent = server_text(b"x" * size) + server_text(b"y")
    rest = b""
    taken: list[tuple[int, bytes]] = []
    for start in range(0, len(sent), 50):
        whole, rest = messages(rest + sent[start : start + 50])
        taken += whole
    assert taken == [(1, b"x" * size), (1, b"y")]
    assert not rest


@pytest.mark.parametrize("cut", range(2, 10))
def test_a_long_message_is_read_also_when_its_head_is_cut(cut: int) -> None:
    sent = b"\x81\x7f" + (70_000).to_bytes(8) + b"x" * 70_000
    assert messages(sent[:cut]) == ([], sent[:cut])
    assert messages(sent) == ([(1, b"x" * 70_000)], b"")


def test_a_message_without_its_length_waits() -> None:
    assert messages(b"\x81\x7e") == ([], b"\x81\x7e")
    assert messages(b"\x81\x7e\x00") == ([], b"\x81\x7e\x00")


@pytest.mark.parametrize(("size", "head"), [(5, b"\x85"), (126, b"\xfe\x00\x7e")])
def test_a_clients_message_is_masked(size: int, head: bytes) -> None:
    assert client_text(b"x" * size) == b"\x81" + head + b"\0\0\0\0" + b"x" * size
    assert client_binary(b"x" * size) == b"\x82" + head + b"\0\0\0\0" + b"x" * size


def test_a_subprotocol_is_asked_for_where_there_is_one() -> None:
    assert b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n" in upgrade("h", "/mqtt", "mqtt")
    assert b"Protocol:" not in upgrade("h", "/")
    assert upgrade("h", "/").endswith(b"\r\n\r\n")
