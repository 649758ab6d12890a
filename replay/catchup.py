"""Pure: one read of a session's durable consumer: what to ask, what the answers prove, what to hand on.

``read`` is a generator of questions; the shell puts each to NATS and sends the answer in. It decides; the shell asks.

What makes the hand-over from replay to live free of holes (docs/decisions/0002-barrier.md). The recent window holds
everything above its floor, so a replay must be complete up to the floor only. Two facts prove that, an absence never
does (a 404 and ``num_pending`` 0 are true for the replica that answers, at the moment it answers):

- *Content.* A consumer delivers in order, so an event at or above the floor proves that all before it were delivered.
- *The leader's word.* ``STREAM.MSG.GET {"seq": p + 1, "next_by_subj": pattern}`` names the leader's next matching
  event. It counts only between two answers of ``STREAM.INFO`` that name the same leader, in the same term of office,
  and a last sequence that reaches what is asked about: a leader that was elected a moment ago may not have applied
  everything yet.

The same question comes first as well: a session that missed nothing below the floor needs no consumer at all, and
whoever does knows the sequence that its consumer must deliver first.

A consumer may be moved under our hands: a gateway that parks the session, or still reads for it, just as its client
comes back to this one places it elsewhere, perhaps with the patterns of before. So a pull is believed only where three
things vouch for it; else nothing is handed on, and the consumer is placed anew:

- *Its numbers* go on from those of the pull before. A move while a pull is open always tells: number 1 is its next.
- *The leader's word for what comes first.* A move before the pull may not tell by the numbers: who moved the consumer
  may have pulled as many as we had. So the first event must not lie above the leader's next one for any pattern. That
  was asked before the consumer was placed; later it is asked beside the pull, for those patterns only whose next event
  as last told lies behind us: the stream grows at its end, so an older word for what lies ahead holds.
- *Its configuration*, which is looked at after the pull: the filter is ours, and so is the name of who set it last.

That the leader has nothing for a pattern is true as far as the stream reached when its state was asked for before, and
only if it still leads afterwards.

What is lost shows in the state that is asked for after the events were read, together with the filter: a first sequence
above the position, or deleted sequences in between. Then a ``Hole`` is handed on with the events.
"""

from collections.abc import Generator, Sequence

import msgspec

from mesh.contiguity import Hole
from mesh.event import Delivery, StoredEvent

DELETED_DETAILS_MOST = 100_000
"""Above so many deleted sequences their list is not asked for; every read then counts as having met one."""
DRY_WAIT_S = 0.5
"""Seconds that a pull waits when the leader has what the consumer's replica has not yet."""
DRY_MOST = 20
"""Waits in a row after which the consumer is made again."""
MOVED_DRY = 2
"""Empty pulls in a row after which it is placed anew."""
PLACES_MOST = 3
"""How often one read may place its consumer anew before it gives up."""
UNKNOWN = -1
"""Where a consumer stands, when nobody knows."""
UNANSWERED = 503
"""Status of a pull that got no answer."""


class AskState(msgspec.Struct, frozen=True):
    """Ask ``STREAM.INFO``. Answered by ``State``."""

    deleted: bool = False
    """Whether to list deleted sequences as well."""


class State(msgspec.Struct, frozen=True):
    """The stream as its leader has it."""

    leader: str
    """Who leads, and since when; empty in an election."""
    first_seq: int
    last_seq: int
    num_deleted: int = 0
    deleted: tuple[int, ...] = ()


class AskNext(msgspec.Struct, frozen=True):
    """Ask the leader for the next event at or above ``seq`` that matches. Answered by its sequence, or None."""

    seq: int
    pattern: str


class AskAfterPull(msgspec.Struct, frozen=True):
    """Ask what must be younger than a pull's events, both at once: whose the consumer is, and the stream's state.

    Answered by ``AfterPull``.
    """


class AfterPull(msgspec.Struct, frozen=True):
    """What was asked for once a pull had ended."""

    is_ours: bool
    """Whether the consumer has the filter that it was placed with, and nobody else has set one since."""
    state: State


class Place(msgspec.Struct, frozen=True):
    """Make the consumer if it is not there, set its patterns, move it behind ``after``. Answered by None.

    With ``remake`` it is deleted first: the server that held it may be dead.
    """

    after: int
    remake: bool = False


class Pull(msgspec.Struct, frozen=True):
    """Pull, and ask the leader at the same time. Answered by ``Pulled``."""

    batch: int
    max_bytes: int
    """0: no limit."""
    wait_s: float
    """Seconds to wait for the first message; 0: answer with what is there."""
    beside: tuple[AskNext, ...] = ()


class Pulled(msgspec.Struct, frozen=True):
    """What a pull brought. ``status`` as in ``mesh.pull.PullResult``; 503 for a consumer that did not answer."""

    deliveries: Sequence[Delivery]
    status: int = 0
    description: str = ""
    found: tuple[int | None, ...] = ()
    """The answers to the questions beside the pull, one for each."""


class Read(msgspec.Struct, frozen=True):
    """What a read of the durable consumer brought."""

    events: list[StoredEvent]
    reached: int
    """Complete up to here: every due event up to it is in ``events`` or inside a hole."""
    holes: list[Hole]


class Failed(msgspec.Struct, frozen=True):
    """The read could not be made now; nothing was handed on. Try again later."""

    reason: str


Ask = AskState | AskNext | AskAfterPull | Place | Pull
Answer = State | AfterPull | Pulled | int | None
Reading = Generator[Ask, Answer, Read | Failed]


class Standing(msgspec.Struct):
    """Where the consumer stands, as far as we know; kept between reads of one session."""

    after: int = UNKNOWN
    """It delivers next what matches above this."""
    consumer_seq: int = 0
    """Deliveries since it was placed."""
    remake: bool = False
    """Whether it must be deleted and made again when it is next placed."""
    leader: str = ""
    """Who led the stream when its state was last asked for."""
    last_seq: int = 0
    """And how far the stream reached."""
    nexts: dict[str, int | None] = {}
    """By pattern: what the leader named as next for a position not above ours; None: nothing, if it still leads."""

    def has_delivered_up_to(self, position: int) -> bool:
        """Whether it has delivered since it was placed and goes on behind ``position``, as far as we know."""
        return self.after == position and self.consumer_seq > 0

    def heard(self, state: State) -> None:
        """Keep who leads the stream, and how far it reaches."""
        self.leader, self.last_seq = state.leader, state.last_seq

    def knows_next(self, pattern: str, after: int) -> bool:
        """Whether the leader need not be asked what comes first above ``after``."""
        if pattern not in self.nexts:
            return False
        next_seq = self.nexts[pattern]
        return next_seq is None or next_seq > after

    def vouches_for(self, first: int, patterns: Sequence[str], now: State) -> bool:
        """Whether the leader said that nothing which matches comes before ``first``; ``now``: who leads since then."""
        has_led = bool(now.leader) and now.leader == self.leader
        for pattern in patterns:
            if self.nexts[pattern] is None and has_led:
                self.nexts[pattern] = self.last_seq + 1
            next_seq = self.nexts[pattern]
            if next_seq is None or next_seq < first:
                return False
        return True


def read(
    after: int, patterns: Sequence[str], floor: int, head: int, standing: Standing, batch: int, max_bytes: int
) -> Reading:
    """Read on from ``after`` until something is found, or it is proved that nothing is left below ``floor``.

    ``head`` is the feed's position, taken when the read begins: at or above ``floor``. At most ``batch`` events.
    """
    assert after < floor <= head, "what the recent window holds is not read from a consumer"
    dry = places = 0
    while dry <= DRY_MOST and places < PLACES_MOST:
        if dry or not standing.has_delivered_up_to(after) or standing.last_seq < floor:
            proved = yield from _prove(after, patterns, floor, head, standing)
            if isinstance(proved, Failed):
                return proved
            if proved >= floor:
                return (yield from _finish(after, [], proved, (yield from _state())))
        beside = tuple(AskNext(after + 1, each) for each in patterns if not standing.knows_next(each, after))
        pulled = yield from _pull(after, standing, Pull(batch, max_bytes, DRY_WAIT_S if dry else 0.0, beside))
        if isinstance(pulled, Failed):
            return pulled
        if pulled == []:
            dry += 1
            if dry == MOVED_DRY:
                standing.after = UNKNOWN  # not a replica that is behind, perhaps: it may have been moved to the end
            continue
        if pulled is not None:
            now = yield AskAfterPull()
            assert isinstance(now, AfterPull), "owner and state were asked for"
            if now.is_ours and standing.vouches_for(pulled[0].seq, patterns, now.state):
                standing.heard(now.state)
                reached = min(pulled[-1].seq, head)  # beyond it the consumer is ahead of the feed, which will bring it
                return (yield from _finish(after, [event for event in pulled if event.seq <= head], reached, now.state))
        standing.after = UNKNOWN
        places += 1
    standing.after, standing.remake = UNKNOWN, True
    return Failed("the consumer does not deliver what the leader has")


def _pull(after: int, standing: Standing, wanted: Pull) -> Generator[Ask, Answer, list[StoredEvent] | Failed | None]:
    """The consumer's next events above ``after``; empty when its replica has none now, None when it is not in order."""
    if standing.after != after:
        yield Place(after, standing.remake)
        standing.after, standing.consumer_seq, standing.remake = after, 0, False
    pulled = yield wanted
    assert isinstance(pulled, Pulled), "a pull is answered by what it brought"
    standing.nexts.update({ask.pattern: found for ask, found in zip(wanted.beside, pulled.found, strict=True)})
    if pulled.status == 409 and "MaxBytes" in pulled.description and not pulled.deliveries and wanted.max_bytes:
        pulled = yield Pull(1, 0, wanted.wait_s)  # one event is larger than the room that is left: it goes alone
        assert isinstance(pulled, Pulled), "a pull is answered by what it brought"
    if not pulled.deliveries and pulled.status not in (404, 408):
        standing.after, standing.remake = UNKNOWN, pulled.status == UNANSWERED
        return Failed(f"{pulled.status} {pulled.description}")
    return _take(pulled.deliveries, standing)


def _take(deliveries: Sequence[Delivery], standing: Standing) -> list[StoredEvent] | None:
    """The events of a pull in order; None when one is missing or the consumer went back."""
    events: list[StoredEvent] = []
    for delivery in deliveries:
        standing.consumer_seq += 1
        if delivery.consumer_seq != standing.consumer_seq or delivery.event.seq <= standing.after:
            return None
        standing.after = delivery.event.seq
        events.append(delivery.event)
    return events


def _prove(
    after: int, patterns: Sequence[str], floor: int, head: int, standing: Standing
) -> Generator[Ask, Answer, int | Failed]:
    """The position up to which the leader has nothing that matches, above ``after``; at most ``head``."""
    before = yield from _state()
    standing.heard(before)
    standing.nexts = {}
    if before.last_seq < floor:
        return Failed("the stream's leader has not caught up")
    complete = min(head, before.last_seq)
    for pattern in patterns:
        found = yield AskNext(after + 1, pattern)
        assert found is None or isinstance(found, int), "a sequence was asked for"
        standing.nexts[pattern] = found
        if found is not None:
            complete = min(complete, found - 1)
    if complete < floor:
        return complete  # something is there: no absence has to be proved
    behind = yield from _state()
    if behind.leader != before.leader or not before.leader:
        return Failed("the stream's leader changed")
    return complete


def _state(*, deleted: bool = False) -> Generator[Ask, Answer, State]:
    state = yield AskState(deleted)
    assert isinstance(state, State), "the state was asked for"
    return state


def _finish(after: int, events: list[StoredEvent], reached: int, state: State) -> Generator[Ask, Answer, Read]:
    """Look for what was lost between ``after`` and ``reached``, in ``state``, which is younger than the events."""
    is_listed = state.num_deleted <= DELETED_DETAILS_MOST
    if state.num_deleted and is_listed:
        # first_seq and the list from one answer: what expires meanwhile leaves the list
        state = yield from _state(deleted=True)
    holes: list[Hole] = []
    if state.first_seq > after + 1:
        holes.append(Hole(after, state.first_seq, "expired"))
    if not is_listed:
        holes.append(Hole(after, reached + 1, "deleted"))
    elif gone := [seq for seq in state.deleted if after < seq <= reached]:
        holes.append(Hole(gone[0] - 1, gone[-1] + 1, "deleted"))
    return Read(events, max(reached, after), holes)
