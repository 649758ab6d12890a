"""Shell: reads what exists in NATS and applies a plan. Run as the operator; gateways only ``verify``.

Applying is idempotent: a second run keeps everything. In a young cluster there is no leader for a while; both the
reading and the applying try again until a deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from mesh.api import STREAM_NOT_FOUND, Api, ApiError
from mesh.topology import Config, Create, Keep, Plan, Refuse, Topology, Update, plan
from security.errors import ConfigurationError, UpstreamUnavailable

T = TypeVar("T")

RETRY_S = 0.25  # between attempts, and between looks at a leader that is not there yet

_RETRIABLE = (
    10008,  # JetStream system temporarily unavailable: no leader of the cluster
    10009,  # JetStream cluster not available
    10074,  # insufficient... replicas answer in a young cluster
    10005,  # no suitable peers for placement: servers are still joining
    10118,  # stream is offline
)
"""``err_code`` of nats-server's errors.json that pass when a cluster has come up."""


class _Cluster(msgspec.Struct, frozen=True):
    leader: str = ""


class _Stream(msgspec.Struct, frozen=True):
    config: dict[str, Any]
    cluster: _Cluster | None = None

    @property
    def has_leader(self) -> bool:
        """Whether it may be used: a server on its own has no cluster, a replicated stream needs a leader."""
        return self.cluster is None or bool(self.cluster.leader)


async def read(api: Api, topology: Topology, *, within_s: float = 10.0) -> dict[str, Config]:
    """The configurations of those streams of the topology that exist, by name.

    Raises ``UpstreamUnavailable`` when NATS does not answer within ``within_s`` seconds.
    """
    found: dict[str, Config] = {}
    for name in topology.stream_names():
        got = await _retried(lambda name=name: api.call("STREAM.INFO", name, None, _Stream), within_s)  # type: ignore[misc]
        if isinstance(got, _Stream):
            found[name] = got.config
        elif got.err_code != STREAM_NOT_FOUND:
            raise UpstreamUnavailable(f"stream {name}: {got.description} ({got.err_code})")
    return found


async def provision(api: Api, topology: Topology, *, allow_loss: bool = False, within_s: float = 10.0) -> Plan:
    """Bring NATS to the topology; return what was planned and done.

    Returns when every stream exists, is as wanted and has a leader. Raises ``ConfigurationError`` with the plan's text,
    and changes nothing, when the plan is refused; ``UpstreamUnavailable`` when it cannot be done within ``within_s``
    seconds a step: some steps may have been done; run it again.
    """
    made = plan(topology, await read(api, topology, within_s=within_s), allow_loss=allow_loss)
    if made.is_refused:
        raise ConfigurationError(f"the streams in NATS differ from the configuration:\n{made.text()}")
    for step in made.steps:
        match step:
            case Create(config):
                await _apply(api, "STREAM.CREATE", config, within_s)
            case Update(config):
                await _apply(api, "STREAM.UPDATE", config, within_s)
            case Keep():
                pass
            case Refuse():
                raise AssertionError("a refused plan is not applied")
    for name in topology.stream_names():
        await _until_leader(api, name, within_s)
    return made


async def verify(api: Api, topology: Topology, *, within_s: float = 10.0) -> Plan:
    """Compare without changing anything, as the gateway does at its start: what would be done to reach the topology."""
    return plan(topology, await read(api, topology, within_s=within_s))


async def _apply(api: Api, verb: str, config: Config, within_s: float) -> None:
    name = config["name"]
    got = await _retried(lambda: api.call(verb, name, config, _Stream), within_s)
    if isinstance(got, ApiError):
        raise ConfigurationError(f"stream {name}: nats-server refuses it: {got.description} ({got.err_code})")


async def _until_leader(api: Api, name: str, within_s: float) -> None:
    async def ask() -> _Stream | ApiError:
        got = await api.call("STREAM.INFO", name, None, _Stream)
        return got if isinstance(got, ApiError) or got.has_leader else ApiError(503, 10009, "no leader")

    got = await _retried(ask, within_s)
    if isinstance(got, ApiError):
        raise UpstreamUnavailable(f"stream {name}: {got.description} ({got.err_code})")


async def _retried(call: Callable[[], Awaitable[T | ApiError]], within_s: float) -> T | ApiError:
    """Call until it answers something that lasts, or the time is over: then the newest answer, or its exception."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            got = await call()
            if not (isinstance(got, ApiError) and got.err_code in _RETRIABLE) or loop.time() >= deadline:
                return got
        except UpstreamUnavailable:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(RETRY_S)
