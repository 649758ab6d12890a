"""Tidewire's Python client: events over a WebSocket that survive tunnels, restarts and deploys."""

from tidewire_client.backoff import Backoff
from tidewire_client.client import Client
from tidewire_client.errors import (
    ClientClosed,
    ClientError,
    ClientStopped,
    Forbidden,
    GatewayError,
    ProtocolError,
    Refused,
    Revoked,
    StateUnavailable,
    TakenOver,
    TokenUnavailable,
    Unauthorized,
    Unreachable,
    UserChanged,
)
from tidewire_client.event import Event
from tidewire_client.frames import GapFrame, Welcome, WindowSize
from tidewire_client.keys import DeviceKeys
from tidewire_client.position import Position, Scope
from tidewire_client.position_store import FileState, MemoryState, StateStore
from tidewire_client.subscription import Subscription

__all__ = [
    "Backoff",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClientStopped",
    "DeviceKeys",
    "Event",
    "FileState",
    "Forbidden",
    "GapFrame",
    "GatewayError",
    "MemoryState",
    "Position",
    "ProtocolError",
    "Refused",
    "Revoked",
    "Scope",
    "StateStore",
    "StateUnavailable",
    "Subscription",
    "TakenOver",
    "TokenUnavailable",
    "Unauthorized",
    "Unreachable",
    "UserChanged",
    "Welcome",
    "WindowSize",
]
