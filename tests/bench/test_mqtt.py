"""Packets of MQTT: written as the standard has them, read from any pieces."""

import pytest

from bench import mqtt


def test_connect_says_whether_the_session_is_kept() -> None:
    assert mqtt.connect("me", is_clean=False) == b"\x10\x0e\0\4MQTT\4\0\0\0\0\2me"
    assert mqtt.connect("me", is_clean=True) == b"\x10\x0e\0\4MQTT\4\2\0\0\0\2me"


def test_subscribe_and_puback() -> None:
    assert mqtt.subscribe(b"a.b") == b"\x82\x08\0\1\0\3a.b\1"
    assert mqtt.puback(b"\1\2") == b"\x40\x02\1\2"


@pytest.mark.parametrize(
    ("size", "length"),
    [(0, b"\x07"), (120, b"\x7f"), (121, b"\x80\x01"), (16_376, b"\xff\x7f"), (16_377, b"\x80\x80\x01")],
)
def test_a_packet_is_read_as_it_was_written(size: int, length: bytes) -> None:
    sent = mqtt.publish(b"a.b", b"x" * size, 258)
    assert sent.startswith(b"\x32" + length + b"\0\3a.b\1\2")
    whole, rest = mqtt.packets(sent + sent[:-1])
    assert len(whole) == 1
    assert rest == sent[:-1]
    assert whole[0].kind == mqtt.PUBLISH
    packet_id, start = mqtt.published(whole[0])
    assert (packet_id, whole[0].body[start:]) == (b"\1\2", b"x" * size)


def test_a_length_that_is_cut_waits() -> None:
    assert mqtt.packets(b"\x32\x80") == ([], b"\x32\x80")
    assert mqtt.packets(b"\x32") == ([], b"\x32")
