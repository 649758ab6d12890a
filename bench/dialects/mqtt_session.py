"""Pure: MQTT 3.1.1 over WebSocket: a session that outlives its connections, each event with QoS 1 acknowledged at once.

A stream of bytes: a message of the WebSocket may end within a packet.
"""

from typing import ClassVar

from bench import mqtt
from bench.dialects.dialect import Reader
from bench.dialects.event_text import EVENT, Event
from bench.websocket import client_binary

_REFUSED = 0x80


class MqttSession:
    """A session with one subscription; its client id is ``bench-`` and the device's number."""

    path: ClassVar[str] = "/mqtt"
    subprotocol: ClassVar[str] = "mqtt"

    def __init__(self, reader: Reader) -> None:
        self.reply = b""
        self.is_live = False
        self.wrong = ""
        self.seq = 0
        self._reader = reader
        self._rest = b""

    def opened(self) -> None:
        """A new connection: nothing of the last one holds."""
        self.is_live, self._rest = False, b""

    def hello(self) -> bytes:
        """CONNECT with Clean Session 0, and SUBSCRIBE, which is harmless when the session has it."""
        said = mqtt.connect(f"bench-{self._reader.number}", is_clean=False)
        return client_binary(said + mqtt.subscribe(self._reader.subject.encode()))

    def take(self, message: bytes) -> list[Event]:
        """A piece of the stream. Each PUBLISH is acknowledged: the broker sends no more than so many without."""
        whole, self._rest = mqtt.packets(self._rest + message)
        got: list[Event] = []
        acks = b""
        for packet in whole:
            if packet.kind != mqtt.PUBLISH:
                self._look(packet)
                continue
            packet_id, start = mqtt.published(packet)
            if packet_id:
                acks += mqtt.puback(packet_id)
            found = EVENT.match(packet.body, start)
            if found:
                got.append((found[1], found[2], found[3]))
        if acks:
            self.reply = client_binary(acks)
        return got

    def ack(self) -> bytes:
        """Nothing more: each event is acknowledged as it is taken."""
        return b""

    def _look(self, packet: mqtt.Packet) -> None:
        if packet.kind == mqtt.CONNACK and packet.body[1]:
            self.wrong = f"CONNACK {packet.body[1]}"
        elif packet.kind == mqtt.SUBACK:
            if packet.body[2] == _REFUSED:
                self.wrong = "SUBACK: refused"
            self.is_live = True
