"""Whom the demo page's site answers, and what a request may hold."""

import pytest

from gateway.demo_request import (
    KeysWanted,
    KillWanted,
    PulseWanted,
    Refused,
    RushWanted,
    TokenWanted,
    headers_of_answers,
    origins_of,
    read_body,
    read_pulse,
    refusal,
)

PORT = 8_444
PAGE = ("https://localhost:8444",)
JSON = ("application/json",)


def judged(
    method: str = "POST",
    hosts: tuple[str, ...] = ("localhost:8444",),
    origins: tuple[str, ...] = PAGE,
    content_types: tuple[str, ...] = JSON,
    port: int = PORT,
) -> int | None:
    refused = refusal(method, port, hosts=hosts, origins=origins, content_types=content_types)
    return refused.status if refused is not None else None


@pytest.mark.parametrize("host", ["localhost:8444", "127.0.0.1:8444", "LOCALHOST:8444"])
def test_both_names_of_this_machine_are_answered(host: str) -> None:
    assert judged(hosts=(host,), origins=(f"https://{host.lower()}",)) is None
    assert judged("GET", hosts=(host,), origins=(), content_types=()) is None


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("localhost",),
        ("localhost:8443",),
        ("attacker.example:8444",),
        ("localhost.attacker.example:8444",),
        ("127.0.0.1.nip.example:8444",),
        ("[::1]:8444",),
        ("localhost:8444", "localhost:8444"),
        ("",),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_any_other_host_is_misdirected_so_a_rebound_name_reads_nothing(method: str, hosts: tuple[str, ...]) -> None:
    assert judged(method, hosts=hosts) == 421


@pytest.mark.parametrize(
    "origins",
    [
        (),
        ("null",),
        ("http://localhost:8444",),
        ("https://localhost:8443",),
        ("https://localhost:8444/",),
        ("https://127.0.0.1:8444",),  # another origin of ours, and yet not this page
        ("https://attacker.example",),
        ("https://localhost:8444", "https://localhost:8444"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_what_changes_something_must_come_from_the_page_itself(method: str, origins: tuple[str, ...]) -> None:
    assert judged(method, origins=origins) == 403


@pytest.mark.parametrize(
    "content_types",
    [(), ("text/plain",), ("application/x-www-form-urlencoded",), ("application/jsonp",), (*JSON, *JSON)],
)
def test_what_a_form_of_any_page_could_send_is_refused(content_types: tuple[str, ...]) -> None:
    assert judged(content_types=content_types) == 403


def test_json_may_name_its_charset() -> None:
    assert judged(content_types=("Application/JSON; charset=utf-8",)) is None


def test_reading_needs_no_origin() -> None:
    assert judged("GET", origins=(), content_types=()) is None
    assert judged("GET", origins=("https://attacker.example",), content_types=()) is None  # it gets no CORS header


def test_on_the_port_of_https_browsers_name_no_port() -> None:
    assert origins_of(443) == ("https://localhost", "https://127.0.0.1")
    assert judged(hosts=("localhost",), origins=("https://localhost",), port=443) is None
    assert judged(hosts=("localhost:443",), port=443) == 421


def test_the_origins_are_those_that_the_gateway_is_told() -> None:
    assert origins_of(PORT) == ("https://localhost:8444", "https://127.0.0.1:8444")


@pytest.mark.parametrize(
    ("body", "ttl_s"),
    [
        (b'{"customer": "c42"}', 300),
        (b'{"customer": "c42", "ttl_s": 15}', 15),
        (b'{"customer": "c42", "ttl_s": 3600}', 3_600),
    ],
)
def test_a_token_lives_as_long_as_asked_within_bounds(body: bytes, ttl_s: int) -> None:
    assert read_body(body, TokenWanted) == TokenWanted("c42", ttl_s)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"c42",
        b"[]",
        b"null",
        b"{}",
        b'{"customer": 42}',
        b'{"customer": "c42", "ttl_s": 14}',
        b'{"customer": "c42", "ttl_s": 3601}',
        b'{"customer": "c42", "ttl_s": "300"}',
        b'{"customer": "c42", "ttl_s": 20.5}',
        b'{"customer": "c42", "sub": "c43"}',
        b'{"customer": "\xff"}',
        b'{"customer": "c42"',
        b"[" * 4_096,
    ],
)
def test_a_wrong_body_is_told_its_form_and_never_quoted(body: bytes) -> None:
    refused = read_body(body, TokenWanted)
    assert refused == Refused(400, 'the body must be {"customer": NAME, "ttl_s": 15 to 3600 (or left out)}')


@pytest.mark.parametrize(("count", "is_right"), [(0, False), (1, True), (100, True), (101, False), (-1, False)])
def test_a_rush_has_bounds(count: int, is_right: bool) -> None:  # noqa: FBT001
    read = read_body(b'{"customer": "c42", "count": %d}' % count, RushWanted)
    assert (read == RushWanted("c42", count)) is is_right
    assert isinstance(read, Refused) is not is_right


def test_keys_are_asked_for_by_name_and_a_kill_names_nobody() -> None:
    assert read_body(b'{"customer": "c42"}', KeysWanted) == KeysWanted("c42")
    assert read_body(b"{}", KillWanted) == KillWanted()
    assert isinstance(read_body(b'{"worker": 1}', KillWanted), Refused)


@pytest.mark.parametrize("after", ["0", "1", "9007199254740991"])
def test_a_pulse_is_asked_for_above_a_sequence(after: str) -> None:
    assert read_pulse([("customer", "c42"), ("after", after)]) == PulseWanted("c42", int(after))


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("customer", "c42")],
        [("after", "1")],
        [("customer", "c42"), ("after", "")],
        [("customer", "c42"), ("after", "-1")],
        [("customer", "c42"), ("after", "1.5")],
        [("customer", "c42"), ("after", " 1")],
        [("customer", "c42"), ("after", "\u0661")],  # a digit, elsewhere
        [("customer", "c42"), ("after", "9007199254740992")],
        [("customer", "c42"), ("after", "9" * 5_000)],
        [("customer", "c42"), ("after", "1"), ("after", "2")],
        [("customer", "c42"), ("after", "1"), ("stream", "EVENTS")],
    ],
)
def test_a_wrong_query_is_told_its_form(query: list[tuple[str, str]]) -> None:
    assert read_pulse(query) == Refused(400, "the query must be ?customer=NAME&after=SEQUENCE, 0 to 2^53 - 1")


def test_the_page_may_run_its_own_code_only_and_talk_to_its_site_and_the_gateway_only() -> None:
    assert headers_of_answers(8_443) == {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self' wss://localhost:8443 wss://127.0.0.1:8443; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
