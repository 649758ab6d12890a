"""Pure: the part of a peer's address that one household or machine cannot change at will: limits count by it."""

import ipaddress

_SUBNET_BITS = 64
"""Of an IPv6 address: whoever has one has at least the 2 ** 64 that begin with them (RFC 6177)."""


def peer_network(address: str) -> str:
    """An IPv4 address as it is, also one that is written as IPv6; the first half of any other IPv6 address."""
    if ":" not in address:
        return address
    whole = ipaddress.IPv6Address(address.partition("%")[0])
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(whole) >> _SUBNET_BITS << _SUBNET_BITS))
