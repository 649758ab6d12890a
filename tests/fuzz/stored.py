"""Decoders of what is stored or configured: records, answers of JetStream, the configuration, requests of the page."""

import tomllib
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from gateway.config import Config
from gateway.config_file import load
from gateway.config_text import effective
from gateway.demo_request import KeysWanted, KillWanted, Refused, RushWanted, TokenWanted, read_body, read_pulse
from mesh.api import Api, ApiError, ConsumerInfo, StreamInfo
from mesh.kv import Bucket, Entry
from replay.record import Owner, Record, decode_record, encode_record, session_key
from security.errors import ConfigurationError, UpstreamUnavailable
from tests.fuzz.target import Target
from tests.fuzz.wire import JSON_WORDS

RECORD = Record(
    "EVENTS:1795420000123456789", 7, 9, {"orders.c42.>": 3}, Owner("https://issuer", "c42", "pixel-7", "acme"), "f00d"
)
TEXT_LEAST = 17
"""Shorter values of a configuration may be named choices, which a problem repeats."""


def record(data: bytes) -> None:
    """A value of the cursor bucket."""
    read = decode_record(data)
    if read is None:
        return
    assert 0 <= read.acked <= read.through < 2**63
    assert all(since >= 0 for since in read.patterns.values())
    assert decode_record(encode_record(read)) == read, "what was read can be stored again"
    assert len(session_key(read.owner)) == 28


class _Reply:
    def __init__(self, payload: bytes, headers: bytes) -> None:
        self.payload = payload
        self.headers = headers


class _Link:
    """Answers every request with the same bytes."""

    def __init__(self, payload: bytes, headers: bytes = b"") -> None:
        self.reply = _Reply(payload, headers)

    async def request(self, *_: object, **__: object) -> _Reply:
        return self.reply


def _run(coroutine: Any) -> Any:
    """Run what never waits, without a loop. None: the documented failure."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    except UpstreamUnavailable as error:
        return None if str(error) else "no text"
    coroutine.close()
    raise AssertionError("it waited")


def answers(data: bytes) -> None:
    """An answer of the JetStream API, as each call reads it; headers are cut off at ``|``."""
    headers, cut, payload = data.partition(b"|")
    link: Any = _Link(payload if cut else data, headers if cut else b"")
    api = Api(link)
    for verb, kind in (("STREAM.INFO", StreamInfo), ("CONSUMER.CREATE", ConsumerInfo)):
        assert isinstance(_run(api.call(verb, "EVENTS", None, kind)), kind | ApiError | None)
    for call in (api.next_message("EVENTS", 1, ">"), api.last_message("EVENTS", "a")):
        _run(call)
    bucket = Bucket(link, api, "cursors")
    assert isinstance(_run(bucket.put("k", b"v", revision=1)), object)
    if cut and _is_direct(headers):
        assert isinstance(_run(bucket.get("k")), Entry | None)


def _is_direct(headers: bytes) -> bool:
    """A direct get is answered by NATS itself, which names the sequence; the payload alone is somebody's."""
    return headers.startswith(b"NATS/1.0\r\nNats-Sequence: 7\r\n")


_FILE = Path(gettempdir()) / "tidewire-fuzz.toml"


def config(data: bytes) -> None:
    """A configuration file."""
    _FILE.write_bytes(data)
    try:
        read = load(_FILE)
    except ConfigurationError as error:
        message = str(error)
    else:
        assert isinstance(read, Config)
        _FILE.write_text(effective(read), "utf-8")
        assert load(_FILE) == read, "what is written back is read the same"
        return
    assert message
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return
    for text in _texts(document):
        assert len(text) < TEXT_LEAST or text not in message, "a problem repeats a value"


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def page(data: bytes) -> None:
    """A request of the demo page: a body, or a query."""
    for wanted in (TokenWanted, KeysWanted, RushWanted, KillWanted):
        answer = read_body(data, wanted)
        assert isinstance(answer, wanted) or (isinstance(answer, Refused) and answer.status == 400)
    text = data.decode("utf-8", "replace")
    query = [tuple(pair.partition("=")[::2]) for pair in text.split("&")]
    asked: Any = query
    pulse = read_pulse(asked)
    assert isinstance(pulse, Refused) or 0 <= pulse.after < 2**53


_INFO = (
    b'{"type":"io.nats.jetstream.api.v1.stream_info_response","created":"2026-11-23T08:00:01.5Z","config":{},'
    b'"state":{"messages":5,"bytes":9,"first_seq":1,"last_seq":5,"num_deleted":1,"deleted":[3]},"cluster":{"leader":"n1"}}'
)
_GOT = b'{"message":{"subject":"a","seq":5,"hdrs":"TkFUUy8xLjANCg0K","data":"e30=","time":"2026-11-23T08:00:01Z"}}'
_ANSWERS = (
    _INFO,
    _GOT,
    b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}',
    b'{"name":"s-1","num_pending":3,"created":"2026-11-23T08:00:01Z","config":{"filter_subjects":["a"],"metadata":{}}}',
    b'{"stream":"KV_cursors","seq":7}',
    b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Subject: a\r\n\r\n|" + encode_record(RECORD),
    b"NATS/1.0\r\nNats-Sequence: 7\r\nKV-Operation: DEL\r\n\r\n|",
)
_CONFIG = b"""profile = "production"
[listen]
port = 8443
certificate = "/etc/tidewire/cert.pem"
key = "/etc/tidewire/key.pem"
origins = ["https://shop.example"]
[nats]
servers = ["tls://n1.example:4222"]
user = "gateway"
password_file = "/etc/tidewire/nats.password"
[limits]
frame_bytes = 65536
[ping]
every_s = 25.0
[[issuers]]
name = "https://id.example"
jwks = "https://id.example/keys"
audience = "tidewire"
read = ["orders.{sub}.>"]
"""
_MISTAKES = b"""profile = "a password put here by mistake"
[listen]
origins = "a password put here by mistake"
host = ["a password put here by mistake"]
[nats]
user = 7
servers = ["a password put here by mistake"]
[stream]
name = "a password put here by mistake"
[[issuers]]
name = "https://id.example"
jwks = "keys.json"
read = ["a password put here by mistake"]
algorithms = ["a password put here by mistake"]
"""
_TABLES = (
    b"[limits]\n",
    b"[[issuers]]\n",
    b"[sealed]\n",
    b" = ",
    b'"""',
    b"'''",
    b"0x",
    b"1979-05-27",
    b"nan",
    b"inf",
    b"://[",
)

TARGETS = (
    Target("record", record, (encode_record(RECORD), b"{}", b"null"), 1_048_576, (*JSON_WORDS, b'"untold":{"after":')),
    Target("answers", answers, _ANSWERS, 1_048_576, (*JSON_WORDS, b'"error":{', b'"err_code":', b'"message":{')),
    Target("config", config, (_CONFIG, _MISTAKES, b'profile = "development"\n', b"\xff"), 4_096, _TABLES),
    Target("page", page, (b'{"customer":"c1","ttl_s":60}', b"customer=c1&after=7", b"{}"), 4_096, JSON_WORDS),
)
