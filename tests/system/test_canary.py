"""Canaries: no token, key, password or sealed value is found where it must not be, after a busy and troubled run."""

import contextlib
import importlib.util
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mesh.embedded import USERS, EmbeddedServer
from mesh.envelope import Envelopes
from mesh.publisher import Publisher
from mesh.topology import Topology
from security.keyfile import generate
from security.keyring import KeyRing
from security.policy import Policy, Sensitive, rules_of
from tests.gateways import Gateway, running_gateway
from tests.servers import linked, running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.system.server_logs import server_logs
from tests.until import until
from tests.wire_client import WireClient

PHONE = f"CANARYphone{secrets.token_hex(8)}"
NAME = f"CANARYname{secrets.token_hex(8)}"
CLEAR = f"CLEARstatus{secrets.token_hex(8)}"
JUNK = f"CANARYjunk{secrets.token_hex(8)}"
"""What a client sends by mistake."""
TENANT = "default"


class Order(msgspec.Struct):
    """An order with a sealed part."""

    order: str
    status: str
    phone: Annotated[str, Sensitive("contact")]
    name: Annotated[str, Sensitive("person")]


class Run:
    """What a run used, and what it showed."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.frames: list[dict[str, Any]] = []
        self.metrics = ""

    def token(self, gateway: Gateway, subject: str = "c42", **more: Any) -> str:
        self.tokens.append(gateway.token(subject, **more))
        return self.tokens[-1]

    @contextlib.asynccontextmanager
    async def client(self, gateway: Gateway, token: str, **more: Any) -> AsyncIterator[WireClient]:
        client = gateway.client("c42", more.pop("patterns", ["orders.c42.>"]), token=token, **more)
        async with client:
            yield client
        self.frames += client.frames


async def publish_sealed(server: EmbeddedServer, keys: KeyRing, count: int) -> list[int]:
    envelopes = Envelopes(Policy(rules_of("orders.{sub}.>", Order)), keys, tenant=TENANT)
    async with linked(server, user="publisher") as link, Publisher(link, envelopes) as publisher:
        order = Order("o7", CLEAR, PHONE, NAME)
        return [(await publisher.publish("orders.c42.o7", order)).seq for _ in range(count)]


async def busy(run: Run, server: EmbeddedServer, gateway: Gateway, keys: KeyRing) -> None:
    """Events live, from the recent window and from a durable; a takeover; a refresh."""
    async with run.client(gateway, run.token(gateway), session="canary", ack=True) as client:
        await client.until("live")
        seqs = await publish_sealed(server, keys, 3)
        await client.until("event", 3)
        await client.send({"type": "refresh", "token": run.token(gateway), "id": 1})
        await client.answer(1)
        async with run.client(gateway, run.token(gateway), session="canary") as newer:
            await newer.until("live")
            assert await client.closed() == 4509
    seqs = await publish_sealed(server, keys, 30)
    await until(lambda: gateway.house.exchange.recent.head >= seqs[-1])
    async with run.client(gateway, run.token(gateway), session="canary", ack=True) as client:
        await client.until("event", 30)
        assert client.of("event")[0]["data"]["status"] == CLEAR
        assert set(client.of("event")[0]["data"]["$sealed"]) == {"contact", "person"}


async def troubled(run: Run, server: EmbeddedServer, gateway: Gateway) -> None:
    """Everything that clients and publishers do wrong, with a canary in it."""
    good = run.token(gateway)
    header, payload, signature = good.split(".")
    forged = [f"{header}.{payload}.{signature[::-1]}", f"{header}.{payload}.", JUNK, f"{good}{JUNK}"]
    run.tokens += forged[:2]
    for token in forged:
        async with run.client(gateway, token) as client:
            assert await client.closed() == 4501
    firsts: list[dict[str, Any]] = [
        {"session": JUNK + "!"},
        {"patterns": [f"orders..{JUNK}"]},
        {"patterns": [f"orders.{JUNK}.>"]},
        {"replay": JUNK},
        {"window": {"messages": 0}},
    ]
    for change in firsts:
        async with run.client(gateway, good, **change) as client:
            assert await client.closed() in (4400, 4503)
    seconds: list[str | bytes] = [
        json.dumps({"type": "ack", "seq": JUNK}),
        json.dumps({"type": "refresh", "token": f"{header}.{payload}.{JUNK}"}),
        f'{{"type":"refresh","token":"{good}","token":"{JUNK}"}}',
        JUNK,
        JUNK.encode(),
        "[" * 5_000 + JUNK,
        JUNK * 10_000,
    ]
    for message in seconds:
        async with run.client(gateway, run.token(gateway)) as client:
            await client.until("live")
            await client.send({"type": JUNK}, {"type": "request", "id": 1, "subject": JUNK, "data": JUNK})
            await client.send({"type": "subscribe", "id": 2, "subjects": [f"a..{JUNK}"]})
            await client.answer(2)
            await client.send_raw(message)
            await client.closed()
    for query in (f"?token={good}", f"?x={good}", f"?{JUNK}=1&jwt={JUNK}"):
        assert (await gateway.get(f"/v1/session{query}"))[0] == 400
    assert (await gateway.get(f"/{JUNK}?{JUNK}"))[0] == 404
    await publish_raw(
        server,
        RawMessage(b"orders.c42.\xff", JUNK.encode()),
        RawMessage(b"orders.c42.h", JUNK.encode(), b"NATS/1.0"),
        RawMessage(b"orders.c42.o1", JUNK.encode()),
    )


def canaries(run: Run, server: EmbeddedServer, keys: list[str]) -> list[str]:
    """What must not be found: sealed values, keys, passwords, tokens whole and in parts that are secret."""
    passwords = [server.password(user).reveal() for user in USERS]
    signatures = [part for token in run.tokens for part in token.split(".")[1:] if len(part) > 20]
    return [PHONE, NAME, *keys, *passwords, *run.tokens, *signatures]


async def test_no_canary_is_found_in_logs_metrics_frames_and_files(tmp_path: Path) -> None:  # E4, E9
    run = Run()
    now = time.time()
    made = [generate(TENANT, "c42", field_class, 1, now) for field_class in ("contact", "person")]
    keys = KeyRing(made)
    secrets_of_keys = [str(key.jwk.as_dict(private=True)["k"]) for key in made]
    with server_logs() as logs:
        async with running_server(tmp_path / "nats", topology=Topology()) as server:
            changes: dict[str, Any] = {"recent": {"recent_events": 10}}
            async with running_gateway(server, tmp_path / "gateway", **changes) as gateway:
                await busy(run, server, gateway, keys)
                await troubled(run, server, gateway)
                await server.kill()
                await until(lambda: not gateway.house.is_ready)
                async with run.client(gateway, run.token(gateway)) as client:
                    assert await client.closed() == 4006
                await server.start()
                await until(lambda: gateway.house.is_ready, 20)
                await busy(run, server, gateway, keys)
                _, run.metrics = await gateway.get("/metrics")
        store = b"".join(file.read_bytes() for file in (tmp_path / "nats").rglob("*") if is_of_the_store(file))
    shown = json.dumps([frame for frame in run.frames if frame["type"] != "event"])
    events = json.dumps([frame for frame in run.frames if frame["type"] == "event"])
    # that the search finds things at all
    assert CLEAR.encode() in store
    assert CLEAR in events
    assert "certificate" in logs.text or "gateway listens" in logs.text
    assert "tidewire_token_refused_total" in run.metrics
    for canary in canaries(run, server, secrets_of_keys):
        assert canary.encode() not in store, canary[:12]
        for place in (logs.text, run.metrics, shown, events):
            assert canary not in place, canary[:12]
    for place in (logs.text, run.metrics, json.dumps([f for f in run.frames if f["type"] in ("error", "goodbye")])):
        assert JUNK not in place
        assert "$sealed" not in place


def is_of_the_store(file: Path) -> bool:
    """JetStream's files and the server's log; the file of the server's own passwords is not the stream's."""
    return file.is_file() and file.name != "nats-users.json"


def loaded_by_a_gateway() -> set[str]:
    """Return the names of all modules in a process that can be a worker."""
    code = "import gateway.app, gateway.worker, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    return set(done.stdout.split())


def test_a_gateway_has_no_module_that_holds_keys() -> None:  # C6
    """P5.1: It forwards sealed fields blind: what seals, opens or reads keys is not even loaded."""
    loaded = loaded_by_a_gateway()
    assert {"gateway.app", "security.tokens", "security.policy"} <= loaded
    keys = {"security.sealing", "security.keyring", "security.keyfile", "security.development"}
    assert not loaded & (keys | {"mesh.publisher", "mesh.envelope", "tidewire_client"})
    for module in keys:
        assert importlib.util.find_spec(module), "they exist under these names"


def test_a_gateway_has_no_module_of_the_demo() -> None:
    """The page, its sign-in and its keys live in the process that `tidewire up` is, never in a gateway."""
    gateway = Path(importlib.import_module("gateway").__file__ or "").parent
    demo = {f"gateway.{path.stem}" for path in gateway.glob("demo_*.py")}
    assert len(demo) > 3
    demo |= {"gateway.page_files", "gateway.shop", "gateway.shop_keeper", "gateway.up", "gateway.state_folder"}
    assert not loaded_by_a_gateway() & demo
    for module in demo:
        assert importlib.util.find_spec(module), "they exist under these names"
