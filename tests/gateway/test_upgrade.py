"""What a request for a session offers, and the answer to it."""

import pytest
from multidict import CIMultiDict

from gateway.frames import JSON, MSGPACK
from gateway.upgrade import NoOffer, Offer, read_offer

GOOD = {
    "Host": "tidewire.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": JSON,
}


def offer(method: str = "GET", **changed: str | None) -> Offer | NoOffer:
    headers = GOOD | {name.replace("_", "-"): value for name, value in changed.items()}
    return read_offer(method, CIMultiDict({name: value for name, value in headers.items() if value is not None}))


def test_the_answer_is_the_one_of_the_standard() -> None:  # RFC 6455 1.3
    assert offer() == Offer(
        JSON,
        None,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: tidewire.v1.json\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )


def test_the_first_subprotocol_that_both_have_is_taken_and_the_origin_told() -> None:
    found = offer(Sec_WebSocket_Protocol=f"chat, {MSGPACK} ,{JSON}", Origin="https://shop.example")
    assert isinstance(found, Offer)
    assert (found.encoding, found.origin) == (MSGPACK, "https://shop.example")
    assert b"Sec-WebSocket-Protocol: tidewire.v1.msgpack\r\n" in found.answer


@pytest.mark.parametrize("connection", ["upgrade", "keep-alive, Upgrade", "UPGRADE , close"])
def test_connection_may_hold_other_words(connection: str) -> None:
    assert isinstance(offer(Connection=connection), Offer)


@pytest.mark.parametrize("offered", [None, "", "tidewire.v2.json", JSON.upper()])
def test_without_a_subprotocol_in_common_that_is_what_is_missing(offered: str | None) -> None:
    found = offer(Sec_WebSocket_Protocol=offered)
    assert isinstance(found, NoOffer)
    assert found.is_subprotocol


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "HEAD"},
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
        {"Connection": "upgraded"},
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ"},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==\n"},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZSE="},
    ],
)
def test_anything_else_that_is_missing_makes_it_no_upgrade(changed: dict[str, str | None]) -> None:
    found = offer(**changed)  # type: ignore[arg-type]
    assert found == NoOffer()


def test_a_list_may_come_in_several_fields() -> None:
    fields = CIMultiDict(GOOD | {"Connection": "keep-alive", "Sec-WebSocket-Protocol": "other"})
    fields.add("Connection", "Upgrade")
    fields.add("Sec-WebSocket-Protocol", JSON)
    offer = read_offer("GET", fields)
    assert isinstance(offer, Offer)
    assert offer.encoding == JSON


def test_two_keys_are_none() -> None:
    fields = CIMultiDict(GOOD)
    fields.add("Sec-WebSocket-Key", GOOD["Sec-WebSocket-Key"])
    assert isinstance(read_offer("GET", fields), NoOffer)


def test_an_origin_that_is_empty_is_one_all_the_same() -> None:
    found = offer(Origin="")
    assert isinstance(found, Offer)
    assert found.origin == ""
