"""Centrifugo is told to keep history and to recover, and its answers are read."""

import msgspec
import pytest

from bench.rivals.centrifugo_config import Places, batch, centrifugo_config, refused

PLACES = Places(port=1, api_port=2, certificate="c.pem", key="k.pem", token_key="PEM")


def test_history_and_recovery_are_on_with_either_engine() -> None:
    for places, engine in ((PLACES, "memory"), (msgspec.structs.replace(PLACES, redis_port=3), "redis")):
        config = centrifugo_config(places)
        assert config["engine"]["type"] == engine
        kept = config["channel"]["without_namespace"]
        assert kept["history_size"] > 0
        assert kept["force_recovery"]
        assert config["http_server"]["tls"]["enabled"]


def test_a_batch_carries_payloads_as_they_are() -> None:
    body = batch([("a", b'{"s":1}'), ("b", b"[2]")])
    assert body == (b'{"commands":[{"publish":{"channel":"a","data":{"s":1}}},{"publish":{"channel":"b","data":[2]}}]}')


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [
        (b'{"replies":[{"publish":{"result":{"offset":1,"epoch":"x"}}}]}', False),
        (b'{"replies":[{"publish":{"result":{}}},{"error":{"code":102,"message":"unknown"}}]}', True),
        (b"{}", True),
    ],
)
def test_a_publication_that_was_not_taken_is_told(answer: bytes, *, is_refused: bool) -> None:
    assert bool(refused(answer)) == is_refused
