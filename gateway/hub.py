"""Pure: which live session holds which pattern, and who matches a subject.

A tree of tokens: looking a subject up costs its tokens, not the number of sessions.
"""

from typing import Any, Generic, TypeVar

S = TypeVar("S")
_NONE: dict[Any, Any] = {}
"""In the place of every empty dict of the tree, which has three at each end: it stays empty."""


class _Node(Generic[S]):
    __slots__ = ("any_token", "children", "holders", "tail")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = _NONE
        self.any_token: _Node[S] | None = None
        """The child ``*``, which is among the others, too: a publisher may use it as a letter."""
        self.holders: dict[S, None] = _NONE  # a dict keeps the order of joining: runs repeat
        self.tail: dict[S, None] = _NONE
        """Those whose pattern ends here with ``>``."""

    def is_empty(self) -> bool:
        return not (self.children or self.holders or self.tail)


class Hub(Generic[S]):
    """Who holds what. A holder is any hashable object, here a connection."""

    def __init__(self) -> None:
        self._root: _Node[S] = _Node()
        self.held = 0
        """How many (holder, pattern) pairs there are."""

    def hold(self, pattern: str, holder: S) -> None:
        """Add a holder of a pattern; each pair is added once."""
        node = self._root
        tokens = pattern.split(".")
        is_tail = tokens[-1] == ">"
        for token in tokens[:-1] if is_tail else tokens:
            child = node.children.get(token)
            if child is None:
                if node.children is _NONE:
                    node.children = {}
                child = node.children[token] = _Node()
                if token == "*":  # noqa: S105  # NATS's wildcard
                    node.any_token = child
            node = child
        if is_tail and node.tail is _NONE:
            node.tail = {}
        elif not is_tail and node.holders is _NONE:
            node.holders = {}
        holders = node.tail if is_tail else node.holders
        assert holder not in holders, "a pattern is held once"
        holders[holder] = None
        self.held += 1

    def release(self, pattern: str, holder: S) -> None:
        """Remove a holder of a pattern that it holds."""
        path: list[tuple[_Node[S], str]] = []
        node = self._root
        tokens = pattern.split(".")
        is_tail = tokens[-1] == ">"
        for token in tokens[:-1] if is_tail else tokens:
            path.append((node, token))
            node = node.children[token]
        del (node.tail if is_tail else node.holders)[holder]
        self.held -= 1
        for parent, token in reversed(path):
            if not parent.children[token].is_empty():
                return
            del parent.children[token]
            if token == "*":  # noqa: S105  # NATS's wildcard
                parent.any_token = None

    def match(self, subject: str) -> dict[S, None]:
        """Everyone with a pattern that matches, each once. The result is not to be changed."""
        found: list[dict[S, None]] = []
        tokens = subject.split(".")
        node: _Node[S] | None = self._root
        for place, token in enumerate(tokens):
            assert node is not None, "it ends below"
            if node.any_token is not None:
                self._match_ways(node, tokens[place:], found)
                break
            if node.tail:
                found.append(node.tail)
            node = node.children.get(token)
            if node is None:
                break
        else:
            if node is not None and node.holders:
                found.append(node.holders)
        if len(found) == 1:
            return found[0]
        merged: dict[S, None] = {}
        for holders in found:
            merged |= holders
        return merged

    def _match_ways(self, start: _Node[S], tokens: list[str], found: list[dict[S, None]]) -> None:
        """The same where more than one way leads on."""
        nodes = [start]
        for token in tokens:
            following: list[_Node[S]] = []
            for node in nodes:
                if node.tail:
                    found.append(node.tail)
                child = node.children.get(token)
                if child is not None:
                    following.append(child)
                any_token = node.any_token
                if any_token is not None and any_token is not child:
                    following.append(any_token)
            nodes = following
            if not nodes:
                return
        found.extend(node.holders for node in nodes if node.holders)
