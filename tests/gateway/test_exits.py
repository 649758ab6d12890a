"""Exit codes."""

import pytest

from gateway.exits import PlanRefused, RefusedByGateway, exit_code
from security.errors import ConfigurationError, LimitReached, TidewireError, UpstreamUnavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (UpstreamUnavailable("x"), 4),
        (RefusedByGateway("x"), 3),
        (PlanRefused("x"), 3),
        (LimitReached("x"), 1),
        (TidewireError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_each_failure_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code
