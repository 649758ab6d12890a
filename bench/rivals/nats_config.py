"""Pure: what nats-server is told that serves WebSockets itself."""


def nats_config(port: int, websocket_port: int, certificate: str, key: str) -> str:
    """Its configuration file: TLS for clients, plain for the publisher.

    A client that is behind is not thrown out before it owes 256 MiB or has not read for a minute.
    """
    return f"""
listen: "127.0.0.1:{port}"
max_pending: 256MB
write_deadline: "60s"
websocket {{
  listen: "127.0.0.1:{websocket_port}"
  compression: false
  tls {{
    cert_file: "{certificate}"
    key_file: "{key}"
  }}
}}
"""
