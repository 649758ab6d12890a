"""Pure: what mosquitto is told."""


def mosquitto_config(port: int, websocket_port: int, certificate: str, key: str, folder: str) -> str:
    """Its configuration file: TLS for clients on WebSockets, plain TCP for the publisher, sessions that are kept.

    No client is dropped and no event either, however far one is behind: no bound on what is queued or in flight.
    ``set_tcp_nodelay`` as its manual advises for latency. Started by root it would give up the right to read the key.
    """
    return f"""
user root
persistence true
persistence_location {folder}/
autosave_interval 0
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning

listener {port} 127.0.0.1
allow_anonymous true

listener {websocket_port} 127.0.0.1
protocol websockets
allow_anonymous true
certfile {certificate}
keyfile {key}
"""
