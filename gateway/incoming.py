"""Shell: what a welcomed client sends: its limits, its encoding, then the session."""

from gateway import close_codes, frames
from gateway.client_framing import BINARY, TEXT
from gateway.connection import Connection
from gateway.phase import Phase
from gateway.rates import TokenBucket

LARGE_BYTES = 4_096
"""So many bytes of a message cost as much to read as a frame, and are counted as one."""
OPCODES = {frames.JSON: TEXT, frames.MSGPACK: BINARY}
"""The kind of WebSocket message of each encoding (P1.3)."""


class Incoming:
    """Takes one connection's messages. ``user_rate`` is shared by all connections of its principal."""

    __slots__ = ("_connection", "_rate", "_user_rate")

    def __init__(self, connection: Connection, user_rate: TokenBucket) -> None:
        limits, now_s = connection.house.config.limits, connection.house.now_s()
        self._connection = connection
        self._rate = TokenBucket(limits.frames_per_s, limits.frames_burst, now_s)
        self._user_rate = user_rate

    def take(self, opcode: int, message: bytes) -> None:
        """A message has come; a bug met by it ends this connection and no other."""
        try:
            self._take(opcode, message)
        except Exception:  # noqa: BLE001  # the top of a callback of the loop
            self._connection.fail()

    def _take(self, opcode: int, message: bytes) -> None:
        connection = self._connection
        if connection.session.phase is Phase.ENDED:
            return  # it was closed: what follows is not looked at, so that it cannot change why
        house, encoding = connection.house, connection.session.encoding
        now_s = house.now_s()
        if not self._has_turn(1 + len(message) // LARGE_BYTES, now_s):
            return
        if opcode != OPCODES[encoding]:
            decoded: list[frames.Frame] | frames.BadFrame = frames.BadFrame("kind")
        else:
            decoded = frames.decode(message, encoding, house.config.limits.json_depth)
        if isinstance(decoded, frames.BadFrame):
            house.counters.bad_frames[decoded.reason] += 1
            connection.close(close_codes.BAD_FRAME)
        elif len(decoded) == 1 or self._has_turn(len(decoded) - 1, now_s):
            connection.receive(decoded)

    def _has_turn(self, count: int, now_s: float) -> bool:
        """Whether so many frames may come now; else the connection is closed."""
        if self._rate.take(count, now_s) and self._user_rate.take(count, now_s):
            return True
        self._connection.close(close_codes.RATE_LIMITED, 1_000)
        return False
