"""What tests of sockets with TLS share."""

import time

import pytest

from security.development import DevelopmentState


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentState:
    """A certificate and its authority, made once for a file of tests."""
    state = DevelopmentState(tmp_path_factory.mktemp("keys"))
    state.prepare(time.time())
    return state
