"""A consumer's filter: covers what is wanted, never overlaps, and nats-server takes it."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.api import Api, ApiError, ConsumerInfo
from mesh.embedded import EmbeddedServer
from replay.filters import filter_subjects
from security.subjects import covers, is_pattern, matches, overlaps
from tests.examples import examples
from tests.servers import linked

tokens = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=4)
patterns = st.builds(lambda parts, tail: ".".join([*parts, ">"] if tail else parts), tokens, st.booleans())


@pytest.mark.parametrize(
    ("wanted", "filters"),
    [
        ([], []),
        (["a.b"], ["a.b"]),
        (["b", "a", "b"], ["a", "b"]),
        (["a.>", "a.b", "a.*"], ["a.>"]),
        (["a.b", "a.*"], ["a.*"]),
        (["a.*.c", "a.b.*"], ["a.*.*"]),
        (["a.>", "*.b"], ["*.>"]),
        (["a.b", ">"], [">"]),
        (["a.b.>", "a.*.c"], ["a.*.>"]),
        (["x.>", "a.*.c", "a.b.*", "a.c.d"], ["a.*.*", "x.>"]),
        (["a.*.c", "a.b.*", "a.c.*.d"], ["a.*.*", "a.c.*.d"]),
        (["a", "a.>"], ["a", "a.>"]),
        (["a.b", "a.b.c"], ["a.b", "a.b.c"]),
    ],
)
def test_filters_are_as_few_and_as_narrow_as_can_be_told(wanted: list[str], filters: list[str]) -> None:
    assert filter_subjects(wanted) == filters


@examples(400)
@given(st.lists(patterns, max_size=8))
def test_filters_cover_every_pattern_and_never_overlap(wanted: list[str]) -> None:
    filters = filter_subjects(wanted)
    assert all(any(covers(each, pattern) for each in filters) for pattern in wanted)
    assert not [pair for pair in itertools.combinations(filters, 2) if overlaps(*pair)]
    assert all(is_pattern(each) for each in filters)
    assert all(any(overlaps(each, pattern) for pattern in wanted) for each in filters), "nothing out of nowhere"


@examples(200)
@given(st.lists(patterns, max_size=6), st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=5))
def test_a_subject_that_a_pattern_matches_passes_one_filter(wanted: list[str], subject: list[str]) -> None:
    text = ".".join(subject)
    if any(matches(pattern, text) for pattern in wanted):
        assert sum(matches(each, text) for each in filter_subjects(wanted)) == 1


@examples(100)
@given(st.lists(patterns, max_size=6), st.randoms())
def test_the_order_of_patterns_does_not_matter(wanted: list[str], random: Random) -> None:
    shuffled = list(wanted)
    random.shuffle(shuffled)
    assert filter_subjects(shuffled) == filter_subjects(wanted)


async def make(api: Api, name: str, filters: list[str]) -> ConsumerInfo | ApiError:
    config = {"name": name, "durable_name": name, "ack_policy": "none", "filter_subjects": filters}
    body = {"stream_name": "EVENTS", "config": {**config, "inactive_threshold": 10**9}, "action": ""}
    return await api.call("CONSUMER.CREATE", f"EVENTS.{name}", body, ConsumerInfo)


async def test_nats_server_refuses_patterns_that_overlap_and_takes_their_filters(nats_server: EmbeddedServer) -> None:
    """err_code 10138 is why the filters exist; the day it goes, so may they."""
    wanted = ["orders.c1.>", "orders.*.o1", "orders.c1.o1.lines", "orders.c2.o2", "events.*.a", "events.b.*"]
    async with linked(nats_server, user="gateway") as link:
        api = Api(link)
        refused = await make(api, "filters-test", wanted)
        assert isinstance(refused, ApiError)
        assert refused.err_code == 10138
        made = await make(api, "filters-test", filter_subjects(wanted))
        assert isinstance(made, ConsumerInfo)
        await api.call("CONSUMER.DELETE", "EVENTS.filters-test", None, dict)
