"""The numbers that docs/protocol.md gives: they are what a gateway has that nobody configured."""

from gateway.config import Config, Limits
from gateway.event_frame import event_frame
from gateway.frames import BATCH_MOST, FRAME_DEPTH, JSON
from gateway.session_settings import SessionSettings
from mesh.event import StoredEvent
from security.tokens import LEEWAY_S

DAY_S = 86_400
MIB = 1_048_576


def test_a_connection_is_limited_as_the_page_says() -> None:
    """P1.4, P1.8, P2.2, P2.10, P7.1, P7.2."""
    limits = Limits()
    assert limits.frame_bytes == 65_536
    assert (limits.frames_per_s, limits.frames_burst) == (50, 200)
    assert limits.first_frame_s == 5.0
    assert limits.write_stall_s == 30.0
    assert (limits.json_depth, FRAME_DEPTH) == (32, 32)
    assert BATCH_MOST == 256


def test_a_session_is_limited_as_the_page_says() -> None:
    """P2.8, P2.14, P2.20, P7.1."""
    config = Config()
    assert (config.limits.subscriptions, config.limits.sessions_per_user) == (128, 16)
    assert (config.limits.pattern_bytes, config.limits.pattern_tokens) == (256, 16)
    assert config.limits.token_bytes == 8_192
    assert (config.window.messages, config.window.bytes) == (1_000, MIB)
    assert (config.window.max_messages, config.window.max_bytes) == (10_000, 8 * MIB)


def test_times_are_those_of_the_page() -> None:
    """P2.38, P2.39, P3.3, P4.3, P4.9."""
    config = Config()
    assert (config.ping.every_s, config.ping.answer_s) == (25, 10.0)
    assert SessionSettings().expiring_s == 60.0
    assert LEEWAY_S == 5.0
    assert config.cursors.save_within_ms <= 1_000
    assert config.cursors.session_idle_s == 30 * DAY_S


def test_the_largest_event_fits_into_what_a_client_must_accept() -> None:
    """P1.8: a payload of 1 MiB makes a frame of 1.4 MiB, below 2 MiB."""
    largest = Limits().payload_bytes
    assert largest == MIB
    event = StoredEvent(2**63 - 1, "o" * 256, 1_795_420_800_123_456_789, b"\xff" * largest, b"")
    frame = event_frame(event, JSON, replay=True)
    assert 4 * MIB / 3 < len(frame) < 1.4 * MIB
