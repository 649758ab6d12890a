"""Pure: what Linux says about a TCP socket: tcp(7), ``TCP_INFO``, ``struct tcp_info`` of linux/tcp.h."""

INFO_BYTES = 160
"""How much of the structure is asked for."""
_DATA_SEGS_IN = 152


def data_segments_in(info: bytes) -> int:
    """Segments with data that came. Over loopback, where 64 KiB fit in one, each write of the peer is one.

    A receiver that is behind changes nothing in it, unlike the number of reads; only a peer that may not send at once
    (its window is closed) has several writes share a segment.
    """
    return int.from_bytes(info[_DATA_SEGS_IN : _DATA_SEGS_IN + 4], "little")
