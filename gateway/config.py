"""Pure: the configuration as typed values. Each field says what it means, its unit, its range and what happens there.

The Structs hold what a TOML document says, with defaults for the rest; ``gateway.config_parse`` makes them and names
every problem by its path, ``gateway.config_rules`` knows which fields contradict each other, ``gateway.config_file``
reads the file. No field holds a secret: passwords, keys and credentials are files, named here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=1_024)]
"""A text that is not empty."""
FilePath = Annotated[str, Meta(min_length=1, max_length=4_096, extra={"path": True})]
"""A path; a relative one counts from the folder of the configuration file."""
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
"""1 to 64 of ``A-Za-z0-9_-``: what NATS takes as the name of a stream or bucket."""
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
"""More than 0 and at most a day."""

KIB = 1_024
MIB = 1_048_576
DAY_S = 86_400


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """``[listen]``: where clients connect, and with which certificate."""

    host: Text = "127.0.0.1"
    """Address to listen on; the default takes connections from this machine only."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8_443
    """TCP port, 0 to 65,535; 0 takes a free one, and does so for one worker only."""
    certificate: FilePath | None = None
    """PEM file with the server's certificate and its chain; needed unless ``plain``; a changed file is taken up."""
    key: FilePath | None = None
    """PEM file of the certificate's key, readable by its owner only; needed unless ``plain``; a changed one is taken
    up.
    """
    plain: bool = False
    """Whether to speak ``ws://`` without TLS: in profile ``development`` on a loopback address only, refused
    elsewhere.
    """
    origins: tuple[Text, ...] = ()
    """Browser pages that may connect, as ``https://shop.example``, compared exactly; a page that is not listed gets
    4503.
    """


class Nats(msgspec.Struct, frozen=True, kw_only=True):
    """``[nats]``: where NATS is, and as which NATS user to connect."""

    servers: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=32)] = ("nats://127.0.0.1:4222",)
    """1 to 32 URLs, ``nats://`` or ``tls://``, without user and password; tried in turn, for ever."""
    user: Text | None = None
    """The NATS user; needs ``password_file``; none connects without a name."""
    password_file: FilePath | None = None
    """File that holds the user's password and nothing else, readable by its owner only; read at each attempt to
    connect.
    """
    credentials_file: FilePath | None = None
    """NATS credentials (JWT and nkey), readable by its owner only; instead of ``user``; read at each attempt to
    connect.
    """
    ca: FilePath | None = None
    """PEM file of the authority that signed the servers' certificates; none trusts the system's authorities."""
    certificate: FilePath | None = None
    """PEM file of a client certificate, for servers that ask for one; needs ``key``."""
    key: FilePath | None = None
    """PEM file of the client certificate's key, readable by its owner only."""
    inbox_prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] = "_INBOX_gw"
    """First token of the subjects on which answers come; this user's alone, so that no other NATS user reads them."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """``[stream]``: the one JetStream stream that holds every event."""

    name: Name = "EVENTS"
    """The stream's name."""
    subjects: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=128)] = ("orders.>", "events.>")
    """1 to 128 patterns whose messages are events; published elsewhere is stored nowhere."""
    replicas: Literal[1, 3, 5] = 1
    """Servers that hold a copy of each event, 1, 3 or 5; with 3, one may fail without loss."""
    max_age_s: Annotated[int, Meta(ge=60, le=3_650 * DAY_S)] = 7 * DAY_S
    """Seconds until an event expires, 60 to ten years, a week by default; who was away longer gets a ``gap``."""
    max_bytes: Annotated[int, Meta(ge=-1)] = -1
    """Bytes after which the oldest events go, -1 for no limit; what a parked session misses by it is told by a
    ``gap``.
    """
    max_consumers: Annotated[int, Meta(ge=-1, le=10_000_000)] = 100_000
    """Consumers the stream takes, -1 for no limit; at the limit who has no durable cannot replay and gets 4006."""
    duplicate_window_s: Annotated[int, Meta(ge=1, le=3_600)] = 120
    """Seconds in which a message id seen before is not stored again, 1 to 3,600, at most ``max_age_s``; a later retry
    is a second event.
    """


class Cursors(msgspec.Struct, frozen=True, kw_only=True):
    """``[cursors]``: the bucket that remembers what each session has processed."""

    bucket: Name = "cursors"
    """The bucket's name; its stream is ``KV_`` and the name."""
    replicas: Literal[1, 3, 5] = 1
    """Servers that hold a copy of each cursor, 1, 3 or 5."""
    session_idle_s: Annotated[int, Meta(ge=60, le=3_650 * DAY_S)] = 30 * DAY_S
    """Seconds after its last sign of life until a session ends, 60 to ten years, 30 days by default; it then starts
    fresh.
    """
    save_within_ms: Annotated[int, Meta(ge=1, le=60_000)] = 500
    """Longest time an acknowledgement waits to be stored, 1 to 60,000 ms; what a crash loses of it is delivered
    again.
    """


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """``[recent]``: the newest stretch of the stream in memory. At either limit the oldest events leave it."""

    recent_bytes: Annotated[int, Meta(ge=64 * KIB, le=64 * 1_024 * MIB)] = 64 * MIB
    """Bytes of payload and bookkeeping a process may hold, 64 KiB to 64 GiB; who was away longer replays from a
    durable.
    """
    recent_events: Annotated[int, Meta(ge=1, le=100_000_000)] = 200_000
    """Events a process may hold, 1 to 100,000,000."""


class Sweeps(msgspec.Struct, frozen=True, kw_only=True):
    """``[sweeps]``: one read of an older stretch of the stream for all sessions that missed it.

    At either limit the oldest events leave it.
    """

    bytes: Annotated[int, Meta(ge=64 * KIB, le=64 * 1_024 * MIB)] = 192 * MIB
    """Bytes of payload and bookkeeping a process may hold of it, 64 KiB to 64 GiB, and only while one goes on; who
    reads too slowly to keep up reads its durable.
    """
    events: Annotated[int, Meta(ge=0, le=100_000_000)] = 200_000
    """Events a process may hold of it, 0 to 100,000,000; 0 shares nothing: each session reads its durable."""


class Durables(msgspec.Struct, frozen=True, kw_only=True):
    """``[durables]``: the JetStream consumer of each session."""

    inactive_threshold_s: Annotated[int, Meta(ge=1, le=365 * DAY_S)] = DAY_S
    """Seconds without a connection after which NATS removes a durable, 1 to a year; the cursor rebuilds it on
    return.
    """
    park_after_s: Annotated[float, Meta(ge=0, le=3_600)] = 30.0
    """Seconds after a connection's end until its durable is set to the cursor, 0 to 3,600; short absences cost no
    call.
    """


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """``[admission]``: how much a process asks of JetStream at once. What exceeds it waits in line."""

    replays: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Replays from durables at once, 1 to 10,000."""
    replays_per_tenant: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """Replays of one tenant at once, at most ``replays``."""
    api_in_flight: Annotated[int, Meta(ge=1, le=1_000)] = 32
    """JetStream API calls without an answer at once, 1 to 1,000; the server drops everyone's when 10,000 wait."""
    batch_events: Annotated[int, Meta(ge=1, le=10_000)] = 400
    """Events a durable is asked for at once, 1 to 10,000; never more than the session's window takes."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``[limits]``: what one client, address or process may cost."""

    frame_bytes: Annotated[int, Meta(ge=KIB, le=MIB)] = 65_536
    """Bytes of one WebSocket message from a client, 1,024 to 1,048,576; a larger one closes with 4413."""
    frames_per_s: Annotated[int, Meta(ge=1, le=100_000)] = 50
    """Frames a second from one connection in the long run; more close with 4429."""
    frames_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    """Frames a connection may send at once before ``frames_per_s`` counts."""
    user_frames_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    """Frames a second from all connections of one principal in a process; more close with 4429."""
    address_connects_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    """Connects a second from one address; more are closed before TLS."""
    connections_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    """Connections from one address at once; more are closed before TLS."""
    unauthenticated: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    """Connections of a process that have not been welcomed yet; more are closed before TLS."""
    unauthenticated_per_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 64
    """The same, of one address; at most ``unauthenticated``."""
    handshakes: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """Steps of TLS handshakes in one turn of the event loop, two for each client; more wait for the next turn."""
    handshake_s: Seconds = 10.0
    """Seconds for a TLS handshake; a slower one is closed."""
    head_s: Seconds = 10.0
    """Seconds for the head of the HTTP request; a slower one is closed."""
    first_frame_s: Seconds = 5.0
    """Seconds from the upgrade to the ``connect`` frame; a later one closes with 4005."""
    verify_queue: Annotated[int, Meta(ge=1, le=100_000)] = 4_096
    """Tokens that wait for their signature check; more close with 4002."""
    token_bytes: Annotated[int, Meta(ge=256, le=8_192)] = 8_192
    """Bytes of a token, 256 to 8,192; a longer one closes with 4501."""
    subscriptions: Annotated[int, Meta(ge=1, le=10_000)] = 128
    """Patterns a session holds, 1 to 10,000; more in a ``connect`` close with 4400, in a ``subscribe`` get error
    ``limit``.
    """
    pattern_bytes: Annotated[int, Meta(ge=1, le=256)] = 256
    """Bytes of a pattern, 1 to 256; a longer one counts as no pattern: in a ``connect`` it closes with 4400, in a
    ``subscribe`` it gets error ``invalid_subject``.
    """
    pattern_tokens: Annotated[int, Meta(ge=1, le=16)] = 16
    """Tokens of a pattern, 1 to 16; one with more counts as no pattern, as above."""
    sessions_per_user: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """Connected sessions of one principal in a process; a further one closes with 4503."""
    requests: Annotated[int, Meta(ge=1, le=10_000)] = 32
    """Requests of one connection without a reply at once. No effect yet: requests get error ``not_supported``."""
    publishes: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Publishes of one connection without a reply at once. No effect yet: they get error ``not_supported``."""
    json_depth: Annotated[int, Meta(ge=4, le=256)] = 32
    """Levels of nesting in a frame, 4 to 256; a deeper one closes with 4400."""
    payload_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB)] = MIB
    """Bytes of an event's payload, 1,024 to 64 MiB; a larger one is refused when it is published; nats-server's
    ``max_payload`` (1 MB in ``nats.conf``) bounds it, too.
    """
    write_stall_s: Seconds = 30.0
    """Seconds a socket may take nothing while there is something to write; then it is closed with 4003."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """``[window]``: how much a session may have outstanding. A full window stops delivery and loses nothing."""

    messages: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """Events when the client names no number, 1 to 10,000; at most ``max_messages``."""
    max_messages: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    """The most events a client may ask for, 1 to 10,000; more is lowered to it."""
    bytes: Annotated[int, Meta(ge=KIB, le=8 * MIB)] = MIB
    """Bytes of events when the client names no number, 1,024 to 8 MiB; at most ``max_bytes``."""
    max_bytes: Annotated[int, Meta(ge=KIB, le=8 * MIB)] = 8 * MIB
    """The most bytes a client may ask for, 1,024 to 8 MiB; more is lowered to it."""


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """``[ping]``: how a dead connection is found."""

    every_s: Annotated[int, Meta(ge=1, le=3_600)] = 25
    """Seconds without traffic after which a ``ping`` is sent, 1 to 3,600."""
    answer_s: Seconds = 10.0
    """Seconds a client has for any frame after a ``ping``; then it is closed with 4003."""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """``[drain]``: how a process stops."""

    spread_ms: Annotated[int, Meta(ge=0, le=600_000)] = 5_000
    """The ``after`` of ``goodbye`` is drawn from 0 to this, so that clients do not come back at once; 0 to 600,000
    ms.
    """
    timeout_s: Seconds = 30.0
    """Seconds to store cursors and close sockets in; then the process ends all the same."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """``[[issuers]]``: whose tokens are taken, and what they permit; a template's ``{sub}`` is the token's claim."""

    name: Text
    """The ``iss`` of its tokens, compared byte for byte."""
    audience: Text = "tidewire"
    """The ``aud`` its tokens must carry."""
    jwks: FilePath
    """Its public keys: the path of a JWKS file, or one ``https://`` URL."""
    algorithms: tuple[Literal["RS256", "PS256", "ES256", "EdDSA", "HS256"], ...] = ("RS256", "PS256", "ES256", "EdDSA")
    """Signature algorithms that are taken; ``HS256`` only alone and with a JWKS file."""
    typ: Text = "at+jwt"
    """The ``typ`` its tokens must carry, any case."""
    leeway_s: Annotated[int, Meta(ge=0, le=30)] = 5
    """Seconds by which its clock may differ from ours, 0 to 30."""
    read: tuple[Text, ...] = ()
    """Patterns that every one of its principals may read, as ``orders.{sub}.>``, beside those in the token."""
    publish: tuple[Text, ...] = ()
    """Patterns that every one of its principals may publish to, beside those in the token. No effect yet."""
    request: tuple[Text, ...] = ()
    """Patterns that every one of its principals may send requests to, beside those in the token. No effect yet."""
    deny: tuple[Text, ...] = ()
    """Patterns that none of its principals may touch, whatever else permits it: a wanted pattern that overlaps is
    refused.
    """
    tenant: Text | None = None
    """The tenant of all its principals; none takes the token's ``tenant``."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """``[[sealed]]``: a field that publishers must seal."""

    subject: Text
    """Pattern of the events that hold the field; the token whose person's key seals is ``{sub}``, as
    ``orders.{sub}.>``.
    """
    pointer: Annotated[str, Meta(pattern="^(/[^/]+)+$", max_length=1_024)]
    """Where the field is in ``data``, a JSON pointer (RFC 6901) to a member of objects."""
    field_class: Name = msgspec.field(name="class")
    """``class``: the class of sensitivity, which decides whose key opens it."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """``[metrics]``: a port of its own for ``/metrics``, in plain HTTP, with ``/health`` and ``/ready`` beside it.

    ``/health`` and ``/ready`` are on the clients' port, too.
    """

    host: Text = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """TCP port of worker 0, further workers take the following ones; 0 takes free ones; none opens no such port:
    ``/metrics`` is then on the clients' port in profile ``development``, and nowhere in ``production``.
    """


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """``[log]``: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    format: Literal["json", "text"] = "text"
    """One JSON object a line for machines, or one line of text for people."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration. Every section may be left out; without ``[[issuers]]`` no client gets in."""

    profile: Literal["development", "production"] = "production"
    """``production`` refuses development keys, sockets without TLS and NATS links without TLS."""
    listen: Listen = Listen()
    nats: Nats = Nats()
    stream: Stream = Stream()
    cursors: Cursors = Cursors()
    recent: Recent = Recent()
    sweeps: Sweeps = Sweeps()
    durables: Durables = Durables()
    admission: Admission = Admission()
    limits: Limits = Limits()
    window: Window = Window()
    ping: Ping = Ping()
    drain: Drain = Drain()
    issuers: tuple[Issuer, ...] = ()
    sealed: tuple[Sealed, ...] = ()
    metrics: Metrics = Metrics()
    log: Log = Log()
