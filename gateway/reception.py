"""Shell: a WebSocket from its upgrade to its end: the first frame, the token, the claim on the session, then frames.

Until the session is claimed in the cursor bucket nothing is delivered. Everything that can go wrong here ends in one
of the close codes of P3.2, with a fixed reason.
"""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from gateway import close_codes, frames
from gateway.access import Granted
from gateway.claiming import Claimed, Claiming
from gateway.connection import Connection
from gateway.exchange import Exchange
from gateway.house import House
from gateway.incoming import OPCODES, Incoming
from gateway.rates import TokenBucket
from gateway.session import Session
from gateway.session_settings import SessionSettings
from gateway.websocket import WebSocket
from gateway.websocket_frame import websocket_messages
from replay.record import Owner, session_key
from security.errors import LimitReached, UpstreamUnavailable
from security.permissions import Permissions
from security.tokens import Claims, Refused

log = logging.getLogger(__name__)

SESSION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Refusal(Exception):
    """The connection is closed with this code."""

    def __init__(self, code: int, error: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.error = error


class Reception:
    """Receives sockets for a house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._claiming = Claiming(house)
        self._user_rates: dict[tuple[str, str], TokenBucket] = {}
        self._user_sessions: dict[tuple[str, str], dict[str, Connection]] = {}
        self._opening: dict[tuple[str, str], Counter[str]] = {}
        """Sessions that are being claimed: they count as the principal's already."""

    async def serve(
        self, socket: WebSocket, transport: asyncio.Transport, encoding: str, welcomed: Callable[[], None]
    ) -> None:
        """Open a session on a socket; returns when it is open, or refused. ``welcomed`` is called when it is open."""
        house = self._house
        connection: Connection | None = None
        try:
            connect = await self._first_frame(socket, encoding)
            connection = await self._open(connect, socket, transport, encoding)
            self._begin(connection)
            welcomed()
        except _Refusal as refusal:
            await self._refuse(socket, transport, encoding, refusal)
        except Exception:  # the top of a socket's task; a bug ends this connection, the others live on
            log.exception("a session failed", extra={"code": close_codes.INTERNAL})
            house.counters.closes[close_codes.INTERNAL] += 1
            if connection is not None:
                self._leave(connection)
            await self._close(socket, close_codes.INTERNAL)
        else:
            incoming = Incoming(connection, self._user_rate(connection.claims.principal))
            socket.listen(incoming.take, connection.set_blocked, partial(self._leave, connection))

    async def _first_frame(self, socket: WebSocket, encoding: str) -> frames.Connect:
        house, limits = self._house, self._house.config.limits
        house.first_frames.add(socket)
        try:
            received = await socket.first(0 if house.is_draining else limits.first_frame_s)
        except TimeoutError:
            raise _Refusal(close_codes.DRAINING if house.is_draining else close_codes.CONNECT_LATE) from None
        finally:
            house.first_frames.discard(socket)
        if received is None:
            raise _Refusal(0)
        opcode, message = received
        is_kind = opcode == OPCODES[encoding]
        decoded = frames.decode(message, encoding, limits.json_depth) if is_kind else frames.BadFrame("kind")
        if isinstance(decoded, frames.BadFrame):
            self._house.counters.bad_frames[decoded.reason] += 1
            raise _Refusal(close_codes.BAD_FRAME, "bad_frame")
        connect = decoded[0]
        if len(decoded) != 1 or not isinstance(connect, frames.Connect):
            self._house.counters.bad_frames["before connect"] += 1
            raise _Refusal(close_codes.BAD_FRAME, "bad_frame")
        return connect

    async def _open(
        self,
        connect: frames.Connect,
        socket: WebSocket,
        transport: asyncio.Transport,
        encoding: str,
    ) -> Connection:
        house = self._house
        claims, permissions = await self._judge(connect)
        granted = self._grant(connect, permissions)
        if not house.is_ready:
            raise _Refusal(self._unavailable())
        exchange = house.exchange
        owner = Owner(claims.issuer, claims.subject, connect.session, claims.tenant or "")
        key = session_key(owner)
        self._admit(claims.principal, key)
        try:
            claimed = await self._claiming.claim(exchange, key, owner, connect.resume, granted, permissions)
        except (UpstreamUnavailable, LimitReached) as error:
            log.warning("a session could not be claimed", extra={"durable": key, "error": str(error)})
            raise _Refusal(self._unavailable()) from error
        finally:
            self._opened(claims.principal, key)
        # from here until the session is attached in one step of the loop
        if house.is_draining or house.open_exchange is not exchange:
            raise _Refusal(self._unavailable())
        self._displace(exchange, key, claimed)
        if socket.closed or transport.is_closing():
            raise _Refusal(0)
        durable = house.durables.durable(key, owner, exchange.identity)
        session = Session(
            name=connect.session,
            stream=exchange.identity,
            encoding=encoding,
            opening=claimed.opening,
            claims=claims,
            denied=claimed.refused,
            settings=self._settings(connect.window),
            recent=exchange.recent,
            now_s=house.now_s(),
            unix_s=time.time(),
        )
        connection = Connection(
            house,
            exchange,
            socket,
            transport,
            key=key,
            owner=owner,
            claim=claimed.claim,
            revision=claimed.revision,
            session=session,
            claims=claims,
            permissions=permissions,
            durable=durable,
        )
        connection.cursor.saved_through = claimed.opening.position
        connection.is_new = claimed.is_new
        house.counters.connects += 1
        house.counters.outcomes[claimed.opening.outcome] += 1
        self._user_sessions.setdefault(claims.principal, {})[key] = connection
        return connection

    def _begin(self, connection: Connection) -> None:
        """Attach and welcome; in the same step of the loop as the end of ``_open``."""
        connection.start()
        self._house.parking.cancel(connection.key)
        if connection.is_new:
            self._house.parking.make_soon(connection.key, connection.durable, connection.session.interest)

    def _displace(self, exchange: Exchange, key: str, claimed: Claimed) -> None:
        """Take the place of an older connection, unless the session was claimed again, or ended, since it was claimed.

        The newer claim may be known before this one is opened: what NATS sent one after the other is read at once.
        """
        if claimed.heard.revision > claimed.revision:
            raise _Refusal(close_codes.REVOKED if claimed.heard.ended else close_codes.TAKEN_OVER)
        rival = exchange.by_key.get(key)
        if rival is not None:
            if rival is not claimed.stood and rival.cursor.claimed_revision > claimed.revision:
                raise _Refusal(close_codes.TAKEN_OVER)
            rival.lose(ended=False)
            exchange.detach(rival)

    def _unavailable(self) -> int:
        return close_codes.DRAINING if self._house.is_draining else close_codes.UPSTREAM_UNAVAILABLE

    async def _judge(self, connect: frames.Connect) -> tuple[Claims, Permissions]:
        try:
            verified = await self._house.doorkeeper.judge(connect.token)
        except LimitReached:
            raise _Refusal(close_codes.OVERLOADED) from None
        if isinstance(verified, Refused):
            is_blind = verified.unknown_kid and self._house.doorkeeper.is_stale(None)
            raise _Refusal(close_codes.UPSTREAM_UNAVAILABLE if is_blind else verified.close)
        claims, permissions = verified
        if self._house.doorkeeper.is_stale(claims.issuer):
            raise _Refusal(close_codes.UPSTREAM_UNAVAILABLE)
        if permissions.is_empty:
            raise _Refusal(close_codes.FORBIDDEN)
        return claims, permissions

    def _grant(self, connect: frames.Connect, permissions: Permissions) -> Granted | None:
        """The patterns asked for; None: those that the session has."""
        wishes = (connect.window.messages, connect.window.bytes) if connect.window is not None else ()
        is_sane = SESSION_NAME.fullmatch(connect.session) and all(wish is None or wish > 0 for wish in wishes)
        if not is_sane or (connect.resume is not None and connect.resume.seq < 0):
            raise _Refusal(close_codes.BAD_FRAME, "bad_frame")
        if connect.replay != "all":
            raise _Refusal(close_codes.BAD_FRAME, "not_supported")
        if connect.subscribe is None:
            return None
        granted = self._claiming.sort(connect.subscribe, permissions)
        if granted.invalid:
            raise _Refusal(close_codes.BAD_FRAME, "invalid_subject")
        if len(granted.allowed) + len(granted.denied) > self._house.config.limits.subscriptions:
            raise _Refusal(close_codes.BAD_FRAME, "limit")
        if connect.subscribe and not granted.allowed:
            raise _Refusal(close_codes.FORBIDDEN)
        return granted

    def _admit(self, principal: tuple[str, str], key: str) -> None:
        keys = {*self._user_sessions.get(principal, ()), *self._opening.get(principal, ())}
        if key not in keys and len(keys) >= self._house.config.limits.sessions_per_user:
            raise _Refusal(close_codes.FORBIDDEN, "limit")
        self._opening.setdefault(principal, Counter())[key] += 1

    def _opened(self, principal: tuple[str, str], key: str) -> None:
        """What ``_admit`` let in has its session, or has failed to get it."""
        opening = self._opening[principal]
        opening[key] -= 1
        if not opening[key]:
            del opening[key]
        if not opening:
            del self._opening[principal]

    def _leave(self, connection: Connection) -> None:
        """The connection's socket has ended."""
        connection.ended()
        principal = connection.claims.principal
        held = self._user_sessions.get(principal, {})
        if held.get(connection.key) is connection:
            del held[connection.key]
        if not held:
            self._user_sessions.pop(principal, None)
            self._user_rates.pop(principal, None)

    def _settings(self, wish: frames.WindowWish | None) -> SessionSettings:
        config = self._house.config
        window, messages, size = config.window, config.window.messages, config.window.bytes
        if wish is not None:
            messages = min(wish.messages or messages, window.max_messages)
            size = min(wish.bytes or size, window.max_bytes)
        return SessionSettings(
            ping_every_s=config.ping.every_s,
            ping_answer_s=config.ping.answer_s,
            window_messages=messages,
            window_bytes=size,
            subscriptions=config.limits.subscriptions,
            pattern_bytes=config.limits.pattern_bytes,
            pattern_tokens=config.limits.pattern_tokens,
            batch_events=config.admission.batch_events,
        )

    def _user_rate(self, principal: tuple[str, str]) -> TokenBucket:
        """The allowance that all connections of a principal share."""
        rate = self._user_rates.get(principal)
        if rate is None:
            per_s = self._house.config.limits.user_frames_per_s
            rate = self._user_rates[principal] = TokenBucket(per_s, per_s, self._house.now_s())
        return rate

    async def _refuse(self, socket: WebSocket, transport: asyncio.Transport, encoding: str, refusal: _Refusal) -> None:
        if not refusal.code:
            return
        self._house.counters.closes[refusal.code] += 1
        if refusal.error and not socket.closed:
            message = close_codes.REASONS[refusal.code]
            error = frames.encode(frames.ErrorFrame(refusal.error, message, retry=False), encoding)
            transport.write(websocket_messages([error], encoding))
        await self._close(socket, refusal.code)

    @staticmethod
    async def _close(socket: WebSocket, code: int) -> None:
        await socket.close(code, close_codes.REASONS[code].encode())
