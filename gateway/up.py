"""Shell: everything on this machine: nats-server, streams, keys, gateway workers, the shop and its page.

One coroutine: it starts them in the order in which they need each other, and being cancelled stops them in the reverse
order. What dies in between is started again.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable

import msgspec

from gateway.config import Config, Log
from gateway.config_text import effective
from gateway.demo_answers import Backstage
from gateway.demo_site import DemoSite
from gateway.page_files import page_files
from gateway.serving import until_serving
from gateway.settings import topology
from gateway.shop import CUSTOMERS, PATTERN, OrderMoved
from gateway.shop_keeper import ShopKeeper
from gateway.state_folder import NatsUrls, Running, StateFolder
from gateway.supervisor import Supervisor, reserve
from gateway.up_config import development_config
from mesh.api import Api
from mesh.embedded import USERS, EmbeddedServer, EmbeddedSettings
from mesh.link import Link, LinkSettings
from mesh.provision import provision
from security import keyfile
from security.development import DevelopmentState
from security.development_names import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from security.errors import ConfigurationError, TidewireError
from security.keyring import KeyRing
from security.policy import rules_of
from security.tls import ServerTls

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""Seconds between looks at nats-server."""
RENEW_EVERY_S = 3_600.0
"""Seconds between looks at the ends of certificate and sealing keys."""
TENANT = "default"
"""Whose sealing keys they are, as ``mesh.envelope`` has it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    port: int
    """Port for clients; 0 takes a free one."""
    nats_port: int
    """Port of nats-server; 0 takes a free one."""
    demo_port: int | None
    """Port of the demo page; 0 takes a free one, None serves none."""
    workers: int
    """Gateway processes."""
    shop: bool
    """Whether the shop is open."""
    log: Log


async def up(folder: StateFolder, wanted: Wanted, ready: Callable[[Running], None]) -> None:
    """Start everything, call ``ready``, keep it running until cancelled; then drain and leave no process behind.

    ``folder`` is held by the caller. Raises ``ConfigurationError`` or ``UpstreamUnavailable`` when something cannot be
    started; what had been started is stopped then.
    """
    async with contextlib.AsyncExitStack() as stack:
        site = None
        if wanted.demo_port is not None:
            site = stack.enter_context(DemoSite(wanted.demo_port, page_files()))
        server = EmbeddedServer(EmbeddedSettings(state_dir=folder.nats, port=wanted.nats_port))
        stack.push_async_callback(server.stop)
        await _start_server(server, wanted.nats_port)
        keys = DevelopmentState(folder.development)
        keys.prepare(time.time())
        ring = KeyRing()
        _prepare_sealing(folder, ring)
        config = _write_config(folder, wanted, server, keys, site)
        await _provision(server, config)
        supervisor = Supervisor(config, folder.config, wanted.workers)
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        shop = ShopKeeper(ring) if wanted.shop else None
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep_server(server), name="keep nats-server")
            group.create_task(_renew(folder, keys, ring, supervisor), name="renew keys")
            if shop is not None:
                group.create_task(_keep_shop(server, shop), name="shop")
            if site is not None:
                backstage = Backstage(
                    gateway_port=supervisor.port,
                    keys=keys,
                    device_keys=folder.device_keys,
                    kill_worker=supervisor.kill_one,
                    shop=shop,
                )
                tls = ServerTls(keys.certificate, keys.key, time.time())
                nats = _link_settings(server, "gateway")
                serving = site.run(backstage, tls, nats, config.stream.name, config.cursors.bucket)
                group.create_task(serving, name="page")
            running = _running(folder, server, supervisor, keys, site)
            await until_serving(supervisor.host, supervisor.port, keys.ca)
            folder.say_running(running)
            ready(running)


async def _start_server(server: EmbeddedServer, port: int) -> None:
    try:
        await server.start()
    except ConfigurationError:
        reserve("127.0.0.1", port, "--nats-port").close()  # when that is the cause, it is told more plainly
        raise


def _write_config(
    folder: StateFolder, wanted: Wanted, server: EmbeddedServer, keys: DevelopmentState, site: DemoSite | None
) -> Config:
    for user in USERS:
        folder.write_private(folder.password(user), server.password(user).reveal())
    config = development_config(
        port=wanted.port,
        nats_url=server.url,
        password_file=str(folder.password("gateway")),
        certificate=str(keys.certificate),
        key=str(keys.key),
        issuer=DEVELOPMENT_ISSUER,
        audience=DEVELOPMENT_AUDIENCE,
        jwks=str(keys.jwks),
        origins=site.origins if site is not None else (),
    )
    config = msgspec.structs.replace(config, log=wanted.log)
    note = "# Written by tidewire up at each start: copy it before you change it.\n"
    folder.write_private(folder.config, note + effective(config))
    return config


async def _provision(server: EmbeddedServer, config: Config) -> None:
    async with Link(_link_settings(server, "operator")) as link:
        await provision(Api(link), topology(config))


def _link_settings(server: EmbeddedServer, user: str) -> LinkSettings:
    return LinkSettings(
        servers=(server.url,),
        user=user,
        password=server.password(user),
        inbox_prefix=USERS[user],
        name=f"tidewire up {user}",
    )


def _running(
    folder: StateFolder,
    server: EmbeddedServer,
    supervisor: Supervisor,
    keys: DevelopmentState,
    site: DemoSite | None,
) -> Running:
    return Running(
        url=f"wss://{supervisor.host}:{supervisor.port}/v1/session",
        http=f"https://{supervisor.host}:{supervisor.port}",
        page=site.url if site is not None else None,
        ca=str(keys.ca),
        nats=NatsUrls(publisher=server.url_of("publisher"), gateway=server.url_of("gateway")),
        state_dir=str(folder.path),
    )


async def _keep_server(server: EmbeddedServer) -> None:
    """Start nats-server again when it has died, on its port and store."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if server.is_running:
            continue
        log.warning("nats-server ended; starting it again")
        try:
            await server.kill()  # nothing is left of it but its lock
            await server.start()
        except TidewireError as error:
            log.warning("nats-server did not start", extra={"error": str(error)})
            await asyncio.sleep(1)


async def _renew(folder: StateFolder, keys: DevelopmentState, ring: KeyRing, supervisor: Supervisor) -> None:
    """A new certificate and new epochs of sealing keys before the old ones end."""
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        _prepare_sealing(folder, ring)
        if keys.prepare(time.time()):
            supervisor.signal(signal.SIGHUP)


async def _keep_shop(server: EmbeddedServer, shop: ShopKeeper) -> None:
    async with Link(_link_settings(server, "publisher")) as link:
        await shop.run(link)


def _prepare_sealing(folder: StateFolder, ring: KeyRing) -> None:
    """Keys for each customer: all in the publisher's file, each customer's own in a file for the device."""
    classes = sorted({rule.field_class for rule in rules_of(PATTERN, OrderMoved)})
    for customer in CUSTOMERS:
        for key in keyfile.ensure(folder.sealing_keys, TENANT, customer.name, classes):
            if ring.opening(key.kid) is None:
                ring.add(key)
        keyfile.export(folder.sealing_keys, customer.name, folder.device_keys(customer.name), tenant=TENANT)
