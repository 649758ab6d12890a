"""Pure: what the clients of each way speak, by name."""

from bench.dialects.centrifugo import Centrifugo
from bench.dialects.dialect import Dialect
from bench.dialects.mqtt_session import MqttSession
from bench.dialects.nats_core import NatsCore
from bench.dialects.socketio import SocketIo
from bench.dialects.tidewire import Tidewire

DIALECTS: dict[str, type[Dialect]] = {
    "tidewire": Tidewire,
    "centrifugo": Centrifugo,
    "socketio": SocketIo,
    "nats": NatsCore,
    "mqtt": MqttSession,
}
