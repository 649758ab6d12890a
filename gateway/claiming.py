"""Shell: taking a session: what is known of it, where it begins, and the one write that makes it this connection's."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence

import msgspec

from gateway import frames
from gateway.access import Granted, grant
from gateway.attached import Attached
from gateway.exchange import Exchange
from gateway.house import House
from mesh.api import UNREADABLE, ApiError
from mesh.kv import Conflict
from replay.cursors import Heard, Known
from replay.opening import Opening, claims_beyond, lose_expired, open_session
from replay.position import Position
from replay.record import Owner, Record
from security.errors import UpstreamUnavailable
from security.permissions import Permissions

CLAIMED_SUBJECT = "tidewire.gateway.claimed"
"""Core NATS subject on which gateways tell each other of claims."""
CLAIM_TRIES = 60
"""How often a claim is tried when others claim the same session at the same moment."""
BEYOND_LOOKS = 4
"""How often the leader is asked before a position beyond its end is believed to be of a stream that was replaced."""
BEYOND_WAIT_S = 0.5
"""Seconds between those questions."""


class Claim(msgspec.Struct, frozen=True):
    """What a gateway tells the others: who holds a session from which write on. An empty claim: it was ended."""

    key: str
    claim: str
    revision: int


class Claimed(msgspec.Struct, frozen=True):
    """A session that was taken."""

    opening: Opening
    claim: str
    revision: int
    stood: Attached | None
    """Who held it in this process when it was taken: an older connection, whatever its revision.

    An older copy of the bucket gives out its revisions again.
    """
    heard: Heard
    """What other gateways said of the session until now."""
    refused: list[str]
    """Patterns that were asked for, or held, and are not permitted."""
    is_new: bool


class Claiming:
    """Takes sessions for a house."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def claim(
        self,
        exchange: Exchange,
        key: str,
        owner: Owner,
        resume: frames.Resume | None,
        granted: Granted | None,
        permissions: Permissions,
    ) -> Claimed:
        """Decide where the session begins on this exchange's stream, and take it in the bucket; the newest claim wins.

        Raises ``UpstreamUnavailable`` and ``LimitReached``: it may have been taken or not.
        """
        house = self._house
        claim = secrets.token_hex(8)
        with house.cursors.claiming(key) as heard:
            known = await house.cursors.load(key)
            for _ in range(CLAIM_TRIES):
                known = _freshest(exchange, key, known)
                wanted, refused = self._wanted(known.record, granted, permissions)
                opening = await self._decide(exchange, known, resume, wanted)
                record = Record(
                    stream=exchange.identity,
                    acked=opening.acked,
                    through=opening.position,
                    patterns=dict(opening.interest.since),
                    owner=owner,
                    claim=claim,
                    gateway=house.name,
                    untold=opening.gap,
                    saved_s=int(time.time()),
                )
                stood = exchange.by_key.get(key)
                revision = await house.cursors.claim(key, record, known)
                if not isinstance(revision, Conflict):
                    await self._tell_others(key, claim, revision, known.record)
                    is_new = known.record is None
                    return Claimed(opening, claim, revision, stood, heard, refused, is_new)
                known = await house.cursors.load(key, from_leader=True)
            raise UpstreamUnavailable("the session is being claimed elsewhere")

    def sort(self, wanted: Iterable[str], permissions: Permissions) -> Granted:
        """Which patterns are permitted, within the configured limits."""
        limits = self._house.config.limits
        return grant(wanted, permissions, pattern_bytes=limits.pattern_bytes, pattern_tokens=limits.pattern_tokens)

    def _wanted(
        self, record: Record | None, granted: Granted | None, permissions: Permissions
    ) -> tuple[Sequence[str], list[str]]:
        """The permitted patterns, and those refused. What a session has is judged anew each time it comes back."""
        if granted is None:
            granted = self.sort(record.patterns if record is not None else (), permissions)
        return granted.allowed, granted.denied + granted.invalid

    async def _decide(
        self, exchange: Exchange, known: Known, resume: frames.Resume | None, wanted: Sequence[str] | None
    ) -> Opening:
        recent = exchange.recent
        position = Position(resume.stream, resume.seq) if resume is not None else None
        last_seq, first_seq = recent.head, 0
        for look in range(BEYOND_LOOKS):
            if not claims_beyond(known.record, position, exchange.identity, last_seq):
                break
            if look:  # a leader that was just elected may not have applied everything yet
                await asyncio.sleep(BEYOND_WAIT_S)
            first_seq, leader_last = await self._leader_state()
            last_seq = max(leader_last, recent.head)
        opening = open_session(known.record, position, wanted, exchange.identity, last_seq, unreadable=known.unreadable)
        start = opening.interest.start_after(opening.position, recent.head)
        if opening.outcome != "fresh" and not recent.reaches_back_to(start):
            first_seq = first_seq or (await self._leader_state())[0]
            opening = lose_expired(opening, first_seq, last_seq)
        return opening

    async def _leader_state(self) -> tuple[int, int]:
        """First and last sequence of the stream."""
        info = await self._house.api.stream_info(self._house.config.stream.name)
        if isinstance(info, ApiError):
            raise UpstreamUnavailable(f"stream: {info.description}")
        return info.state.first_seq, info.state.last_seq

    async def _tell_others(self, key: str, claim: str, revision: int, before: Record | None) -> None:
        """Another gateway seems to serve the session: it learns now what its next write would teach it."""
        if before is not None and before.gateway not in ("", self._house.name):
            payload = msgspec.json.encode(Claim(key, claim, revision))
            await self._house.link.publish(CLAIMED_SUBJECT, payload)


def _freshest(exchange: Exchange, key: str, known: Known) -> Known:
    """What an older connection in this process knows better than the bucket: acknowledgements not yet stored."""
    rival = exchange.by_key.get(key)
    if rival is None or known.record is None or known.record.claim != rival.cursor.claim:
        return known
    return msgspec.structs.replace(known, record=rival.record())


def hear_claim(house: House, data: bytes) -> None:
    """Another gateway has claimed a session, or an operator has ended one (an empty claim)."""
    try:
        claimed = msgspec.json.decode(data, type=Claim)
    except UNREADABLE:
        return
    if house.open_exchange is None:
        return
    house.cursors.hear(claimed.key, claimed.revision, ended=not claimed.claim)
    connection = house.exchange.by_key.get(claimed.key)
    if connection is None:
        house.cursors.forget(claimed.key)
    elif connection.cursor.claim != claimed.claim and claimed.revision > connection.cursor.claimed_revision:
        house.cursors.forget(claimed.key)
        connection.lose(ended=not claimed.claim)
