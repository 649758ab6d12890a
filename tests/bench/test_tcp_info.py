"""The kernel counts what each write of a peer becomes."""

import socket

from bench.tcp_info import INFO_BYTES, data_segments_in


def test_each_write_over_loopback_is_one_segment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for size in (1, 400, 20_000):
                peer.sendall(b"x" * size)
            left = 20_401
            while left:
                left -= len(client.recv(left))
            assert data_segments_in(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)) == 3
