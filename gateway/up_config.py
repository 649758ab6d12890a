"""Pure: the configuration that `tidewire up` writes for the gateway on this machine."""

from gateway import config as has
from gateway.shop import PATTERN, OrderMoved
from security.policy import rules_of

READ = (PATTERN,)
"""What a development token's ``sub`` may read without saying so: its own orders."""


def development_config(
    *,
    port: int,
    nats_url: str,
    password_file: str,
    certificate: str,
    key: str,
    issuer: str,
    audience: str,
    jwks: str,
    origins: tuple[str, ...] = (),
) -> has.Config:
    """Everything on this machine: the development issuer, TLS, the bundled nats-server, the shop's sealed fields.

    Limits per address and principal are wide, since on one machine every client has one address, and who tries things
    out is one principal with many sessions. ``origins`` are the pages that may connect.
    """
    return has.Config(
        profile="development",
        listen=has.Listen(port=port, certificate=certificate, key=key, origins=origins),
        nats=has.Nats(servers=(nats_url,), user="gateway", password_file=password_file, inbox_prefix="_INBOX_gw"),
        limits=has.Limits(
            address_connects_per_s=10_000,
            connections_per_address=100_000,
            unauthenticated_per_address=2_000,
            sessions_per_user=10_000,
            user_frames_per_s=100_000,
        ),
        issuers=(has.Issuer(name=issuer, audience=audience, jwks=jwks, read=READ),),
        sealed=tuple(
            has.Sealed(subject=rule.pattern, pointer=rule.pointer, field_class=rule.field_class)
            for rule in rules_of(PATTERN, OrderMoved)
        ),
    )
