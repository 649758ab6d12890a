"""Shell: which ways there are, in the order of the tables."""

from collections.abc import Callable

from bench.way import Site, Way
from bench.ways.centrifugo import Centrifugo
from bench.ways.centrifugo_redis import CentrifugoRedis
from bench.ways.floor import Floor
from bench.ways.mosquitto import Mosquitto
from bench.ways.nats_websocket import NatsWebSocket
from bench.ways.per_session import PerSession
from bench.ways.socketio import SocketIo
from bench.ways.tidewire import Tidewire

WAYS: dict[str, Callable[[Site], Way]] = {
    "floor": Floor,
    "tidewire": Tidewire,
    "per-session": PerSession,
    "centrifugo": Centrifugo,
    "centrifugo-redis": CentrifugoRedis,
    "socketio": SocketIo,
    "nats-websocket": NatsWebSocket,
    "mosquitto": Mosquitto,
}
"""By name; a name is what ``--ways`` takes."""
