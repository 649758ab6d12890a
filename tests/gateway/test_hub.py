"""Who gets what: the tree of tokens against a plain list of pairs."""

import sys
from types import FrameType

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.hub import Hub
from tests.examples import examples
from tests.security.nats_rules import is_match, patterns_of, subjects_of

SUBJECTS = subjects_of("a", "b", "B", "*", ">")
PATTERNS = patterns_of("a", "b", "B")


def hub_of(*pairs: tuple[str, str]) -> Hub[str]:
    hub: Hub[str] = Hub()
    for pattern, holder in pairs:
        hub.hold(pattern, holder)
    return hub


class HubMachine(RuleBasedStateMachine):
    """Holders come and go; after each step every lookup agrees with NATS's rules."""

    def __init__(self) -> None:
        super().__init__()
        self.hub: Hub[int] = Hub()
        self.pairs: list[tuple[str, int]] = []

    @rule(pattern=PATTERNS, holder=st.integers(0, 4))
    def hold(self, pattern: str, holder: int) -> None:
        if (pattern, holder) in self.pairs:
            return
        self.hub.hold(pattern, holder)
        self.pairs.append((pattern, holder))

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.pairs))
        self.hub.release(*pair)
        self.pairs.remove(pair)

    @rule(subject=SUBJECTS)
    def match(self, subject: str) -> None:
        expected = {holder for pattern, holder in self.pairs if is_match(pattern, subject)}
        assert set(self.hub.match(subject)) == expected

    @invariant()
    def counts(self) -> None:
        assert self.hub.held == len(self.pairs)
        if not self.pairs:
            assert self.hub._root.is_empty(), "nothing is left behind"

    def teardown(self) -> None:
        for pair in self.pairs:
            self.hub.release(*pair)
        assert self.hub._root.is_empty()


HubMachine.TestCase.settings = examples(60, stateful_step_count=40)
TestHub = HubMachine.TestCase


def test_a_holder_of_several_patterns_that_match_is_there_once() -> None:
    hub = hub_of(("a.>", "one"), ("a.b", "one"), ("a.*", "one"), ("*.b", "two"), (">", "two"))
    assert list(hub.match("a.b")).count("one") == 1
    assert set(hub.match("a.b")) == {"one", "two"}


def test_a_tail_needs_a_token_and_a_star_takes_exactly_one() -> None:
    hub = hub_of(("a.>", "tail"), ("a.*", "star"), ("a", "literal"))
    assert set(hub.match("a")) == {"literal"}
    assert set(hub.match("a.b")) == {"tail", "star"}
    assert set(hub.match("a.b.c")) == {"tail"}
    assert not hub.match("b")


def test_holding_twice_is_a_bug() -> None:
    hub = hub_of(("a.b", "one"))
    with pytest.raises(AssertionError, match="held once"):
        hub.hold("a.b", "one")


def test_lookups_repeat_in_the_order_of_joining() -> None:
    hub = hub_of(*(("a.b", str(number)) for number in range(50)))
    assert list(hub.match("a.b")) == [str(number) for number in range(50)]


def test_a_lookup_does_not_grow_the_tree_and_deep_subjects_are_harmless() -> None:
    hub = hub_of((">", "all"), ("*.*.*.*", "four"))
    assert set(hub.match(".".join("abcd"))) == {"all", "four"}
    assert set(hub.match(".".join("x" * 5_000))) == {"all"}
    assert list(hub._root.children) == ["*"]


def test_a_subject_of_wildcards_costs_no_more_than_another() -> None:
    """A publisher may store one; each star must not double the work of every gateway."""
    hub = hub_of((".".join("*" * 16), "one"))

    def calls(subject: str) -> int:
        counted = 0

        def count(_frame: FrameType, what: str, _arg: object) -> None:
            nonlocal counted
            counted += what == "c_call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            assert set(hub.match(subject)) == {"one"}
        finally:
            sys.setprofile(before)
        return counted

    assert 16 < calls(".".join("*" * 16)) <= calls(".".join("a" * 16))
