"""The oracle of subjects against a real nats-server, and everything of ours that matches against the oracle."""

import asyncio
import json
from itertools import product
from pathlib import Path

import pytest
import tidewire_client.patterns
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.embedded import EmbeddedServer
from security.subjects import covers, is_pattern, is_subject, matches, overlaps
from tests.examples import examples
from tests.security.nats_rules import is_match, is_valid_pattern, is_valid_subject, patterns_of, subjects_of
from tests.servers import running_server

TOKENS = ("a", "b", "A", "ä", "a*", "b>", "**", ">>", "$a", "-")
"""Tokens of valid subjects: case counts, and what merely holds a wildcard is a literal."""
WHOLE = ("a", "b", "A", "ä", "$a", "-")
"""Those that our own patterns may hold."""
WILD = (*TOKENS, "*", ">")
"""Tokens that a publisher may use too: nats-server takes wildcards in a published subject as letters."""
SUBJECTS = [*WILD, *map(".".join, product(("a", "A", "a*", "*", ">"), repeat=2)), "a.b.c", "a.*.c", "a.>.c", "a.b.c.d"]
NO_SUBJECTS = ["a..b", ".a", "a.", ".", "a.b."]
PATTERNS = [*WILD, "a.*", "*.a", "*.*", "a.>", "A.>", "*.>", "a.*.c", "a.*.>", "*.b.>", "a*.*", "a.a*", "*.>>", "a.b.c"]
NO_PATTERNS = ["a.>.b", ">.a", ">.>", "a..b", ".a", "a.", "."]

CONFIG = """
host: "127.0.0.1"
port: $TIDEWIRE_NATS_PORT
jetstream { store_dir: $TIDEWIRE_NATS_STORE }
"""


class Plain:
    """A connection that speaks NATS's own protocol: no client checks or mends what is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.send('CONNECT {"verbose":false,"pedantic":false}')

    def send(self, line: str, body: str | None = None) -> None:
        text = line if body is None else f"{line} {len(body.encode())}\r\n{body}"
        self.writer.write(f"{text}\r\n".encode())

    async def answers(self) -> list[tuple[str, str]]:
        """Whatever came up to now, in order: (subscription or error, payload)."""
        self.send("PING")
        found: list[tuple[str, str]] = []
        while (line := (await self.reader.readline()).decode()) != "PONG\r\n":
            if line.startswith("MSG"):
                words = line.split()
                body = await self.reader.readexactly(int(words[-1]) + 2)
                found.append((words[-2] if len(words) == 4 else words[2], body[:-2].decode()))
            elif line.startswith("-ERR"):
                found.append((line.strip(), ""))
        return found

    async def ask(self, subject: str, body: str) -> dict[str, object]:
        """A request to JetStream."""
        self.send("SUB _INBOX.1 answer")
        self.send(f"PUB {subject} _INBOX.1", body)
        line = await self.reader.readline()
        while not line.startswith(b"MSG"):
            line = await self.reader.readline()
        answer: dict[str, object] = json.loads(await self.reader.readexactly(int(line.split()[-1]) + 2))
        self.send("UNSUB answer")
        return answer


async def connected(server: EmbeddedServer) -> Plain:
    return Plain(*await asyncio.open_connection("127.0.0.1", server.port))


async def test_the_oracle_says_what_nats_server_does(tmp_path: Path) -> None:
    (tmp_path / "plain.conf").write_text(CONFIG)
    async with running_server(tmp_path / "s", config=tmp_path / "plain.conf") as server:
        plain = await connected(server)
        for number, pattern in enumerate(PATTERNS):
            plain.send(f"SUB {pattern} {number}")
        assert await plain.answers() == []
        for pattern in NO_PATTERNS:
            plain.send(f"SUB {pattern} none")
            assert await plain.answers() == [("-ERR 'Invalid Subject'", "")], pattern
        for subject in (*SUBJECTS, *NO_SUBJECTS):
            plain.send(f"PUB {subject}", subject)
        got = {(PATTERNS[int(number)], subject) for number, subject in await plain.answers()}
        plain.writer.close()
        await plain.writer.wait_closed()
    assert got == {pair for pair in product(PATTERNS, SUBJECTS + NO_SUBJECTS) if is_match(*pair)}
    assert all(map(is_valid_pattern, PATTERNS))
    assert not any(map(is_valid_pattern, NO_PATTERNS))
    assert all(map(is_valid_subject, SUBJECTS))


async def test_a_stream_holds_no_subject_with_an_empty_token(tmp_path: Path) -> None:
    """Why ``matches`` need not refuse one: no event ever has it, while one with wildcards as letters may be there."""
    (tmp_path / "plain.conf").write_text(CONFIG)
    async with running_server(tmp_path / "s", config=tmp_path / "plain.conf") as server:
        plain = await connected(server)
        created = await plain.ask("$JS.API.STREAM.CREATE.E", '{"name":"E","subjects":["s.>","*"],"storage":"memory"}')
        assert "error" not in created
        sent = [f"s.{subject}" for subject in (*SUBJECTS, *NO_SUBJECTS)]
        for subject in sent:
            plain.send(f"PUB {subject}", "")
        await plain.ask("s.last", "")  # its acknowledgement comes when all before it are stored
        info = await plain.ask("$JS.API.STREAM.INFO.E", '{"subjects_filter":">"}')
        plain.writer.close()
        await plain.writer.wait_closed()
    state = info["state"]
    assert isinstance(state, dict)
    assert set(state["subjects"]) == {"s.last", *filter(is_valid_subject, sent)}


@examples(250)
@given(patterns_of(*WHOLE), subjects_of(*WILD))
@example("a.>", "a.>")
@example("a.*", "a.>")
@example("a.b", "a.*")
@example("a.>", "a")
def test_what_matches_is_what_nats_would_deliver(pattern: str, subject: str) -> None:
    """On the gateway and in the Python SDK; on any text, whether we would take it from a client or not."""
    assert matches(pattern, subject) is is_match(pattern, subject)
    assert tidewire_client.patterns.matches(pattern, subject) is is_match(pattern, subject)


@examples(80)
@given(patterns_of("a", "b", longest=16), subjects_of("a", "b", longest=18))
def test_the_longest_patterns_match_as_short_ones_do(pattern: str, subject: str) -> None:
    assert matches(pattern, subject) is is_match(pattern, subject)


@examples(150)
@given(patterns_of("a", "b", "A"), patterns_of("a", "b", "A"), subjects_of("a", "b", "A"))
@example("a.*", "a.>", "a.b.c")
@example("a.>", "a", "a")
@example("a", "a.>", "a.b")
def test_what_covers_and_what_overlaps_agrees_with_every_subject(one: str, other: str, subject: str) -> None:
    if covers(one, other) and is_match(other, subject):
        assert is_match(one, subject)
    if is_match(one, subject) and is_match(other, subject):
        assert overlaps(one, other)
        assert overlaps(other, one)
    assert covers(one, one)
    assert not covers(one, other) or overlaps(one, other)


@examples(250)
@given(st.text(st.sampled_from("ab.*>$ \t\r\n\0\u00e4\u00a0\u200b\ud800"), max_size=9) | patterns_of(*WILD))
def test_what_we_take_nats_takes_and_a_wildcard_is_never_part_of_a_token(text: str) -> None:
    tokens = text.split(".")
    partly = any(("*" in token or ">" in token) and token not in ("*", ">") for token in tokens)
    clean = text.isprintable() and " " not in text
    assert is_pattern(text) is (is_valid_pattern(text) and clean and not partly)
    assert is_subject(text) is (is_pattern(text) and not set(text) & set("*>"))


@pytest.mark.parametrize("check", [is_pattern, is_subject])
def test_subjects_end_at_256_bytes_and_16_tokens(check: object) -> None:
    assert callable(check)
    for letter, most in (("x", 256), ("ä", 128), ("\U00010348", 64)):
        assert check(letter * most)
        assert not check(letter * (most + 1))
    assert check(".".join("x" * 16))
    assert not check(".".join("x" * 17))
    assert is_pattern(".".join("*" * 15) + ".>")
    assert not is_pattern(".".join("*" * 16) + ".>")
