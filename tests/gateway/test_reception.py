"""What a reception keeps of its principals."""

from types import SimpleNamespace
from typing import cast

from gateway.connection import Connection
from gateway.house import House
from gateway.reception import Reception
from tests.gateway.driven_session import claims


def connection(key: str) -> Connection:
    return cast(Connection, SimpleNamespace(key=key, claims=claims(), ended=lambda: None))


def test_a_connection_that_was_taken_over_may_leave_last() -> None:
    reception = Reception(cast(House, SimpleNamespace()))
    older, newer = connection("k"), connection("k")
    reception._user_sessions[claims().principal] = {"k": newer}
    reception._leave(newer)
    assert reception._user_sessions == {}
    reception._leave(older)
    assert reception._user_sessions == {}


def test_a_connection_that_was_taken_over_takes_nothing_with_it() -> None:
    reception = Reception(cast(House, SimpleNamespace()))
    older, newer = connection("k"), connection("k")
    reception._user_sessions[claims().principal] = {"k": newer}
    reception._leave(older)
    assert reception._user_sessions == {claims().principal: {"k": newer}}
