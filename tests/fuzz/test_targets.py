"""The short run of the fuzzing: what a stranger sends has a documented answer, within a bound, and shows no secret.

The long one is ``make fuzz``. Both engines run the same targets.
"""

import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

EACH = pytest.mark.parametrize("name", TARGETS)
SHORT = settings(deadline=None, derandomize=True, max_examples=250)


@EACH
def test_every_seed_has_a_documented_answer(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@EACH
@SHORT
@given(number=st.integers(0, 2**32), place=st.integers(0, 2**16))
def test_every_mutation_has_a_documented_answer(name: str, number: int, place: int) -> None:
    target = TARGETS[name]
    seed = target.seeds[place % len(target.seeds)]
    target.run(mutated(seed, Random(number), target.seeds, target.words))


@EACH
@SHORT
@given(data=st.binary(max_size=200))
def test_any_bytes_have_a_documented_answer(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


PIECES = (
    *(b"[", b"]", b"{", b'{"a":', b'"', b"\\", b'\\"', b'"\\', b"[]", b"[],", b"{},", b"1", b"1,", b'"a":1,', b"[1,"),
    *(b"[" * 30 + b"]" * 30 + b",", b"1.", b"0", b"-", b"\\u0000", b"\xff", b"\xc3\xa9", b".", b"a.", b"~0", b"/a"),
    *(b" ", b"=", b"\n", b"[a]\n", b"a=1\n", b"'", b"\x80", b"\x90", b"\x91\x01", b"\x81\xa1a", b"\x91", b"\x9f"),
    *(b"\xa0", b"\xc0", b"\x81\x80abcd", b"\x01\x80abcd", b"NATS/1.0\r\n", b"a:b\r\n", b":", b"|", b"&", b"a=1&"),
)


def slowest(name: str, bytes_most: int) -> tuple[float, bytes]:
    """Seconds of CPU, and the input that took them, of pieces repeated up to the longest input."""
    target = TARGETS[name]
    worst_s, worst = 0.0, b""
    size = min(target.bytes_most, bytes_most)
    for piece in PIECES:
        for start in target.starts:
            data = (start + piece * (size // len(piece) + 1))[:size]
            took_s = cpu_s(target, data)
            if took_s >= target.slow_s:  # perhaps the collector of cycles looked at all that the tests before left
                took_s = min(took_s, cpu_s(target, data), cpu_s(target, data))
            if took_s > worst_s:
                worst_s, worst = took_s, start + piece
    return worst_s, worst


def cpu_s(target: Target, data: bytes) -> float:
    """Seconds of CPU that an input takes."""
    began_s = time.process_time()
    target.run(data)
    return time.process_time() - began_s


@EACH
def test_the_longest_input_takes_no_more_than_its_bound(name: str) -> None:
    worst_s, worst = slowest(name, 65_536)
    assert worst_s < TARGETS[name].slow_s, worst


def test_a_mutation_is_the_same_for_the_same_seed_and_seldom_the_input() -> None:
    seed = b'{"type":"ack","seq":7}'
    made = [mutated(seed, Random(n), [seed], [b"word"]) for n in range(500)]
    assert made == [mutated(seed, Random(n), [seed], [b"word"]) for n in range(500)]
    assert len(set(made)) > 400
    assert max(map(len, made)) > 1_000 > min(map(len, made))
