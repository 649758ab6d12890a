"""The model of JetStream and a real server answer alike."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from mesh.topology import Topology
from tests.servers import linked, running_server
from tests.sim import conformance_consumers, conformance_streams
from tests.sim.clock import run
from tests.sim.conformance import Asker, Script
from tests.sim.nats import Nats, NatsSettings
from tests.until import until

SCRIPTS: dict[str, Script] = {**conformance_streams.SCRIPTS, **conformance_consumers.SCRIPTS}

Answers = dict[str, list[object]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Answers]:
    """What a real server answers to each script."""
    answers: Answers = {}
    async with running_server(tmp_path_factory.mktemp("nats"), topology=Topology()) as server:
        for name, script in SCRIPTS.items():
            async with linked(server) as link:
                ask = Asker(link)
                answers[name] = ask.seen
                await ask.start()
                await script(ask)
    yield answers


def modelled(name: str, seed: int) -> list[object]:
    """What a model of one server answers."""

    async def main() -> list[object]:
        link = Nats(random, NatsSettings(servers=("n1",))).link("asker", inbox_prefix="_INBOX_op")
        await link.start()
        ask = Asker(link)
        await ask.start()
        await SCRIPTS[name](ask)
        return ask.seen

    random = Random(seed)
    return run(main(), random)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_model_answers_as_a_real_server_does(name: str, real: Answers) -> None:
    assert modelled(name, 1) == real[name]


@pytest_asyncio.fixture(loop_scope="session")
async def fallen(tmp_path: Path) -> list[object]:
    """What a real server answers whose stream's files are replaced by older ones."""
    kept = tmp_path / "kept"
    async with running_server(tmp_path / "state", topology=Topology()) as server:
        async with linked(server, backoff_max_s=0.1) as link:
            ask = Asker(link)

            async def started_anew() -> None:
                connects = link.connects
                await server.start()
                await until(lambda: link.connects > connects and link.is_up)

            def messages() -> Path:
                return next((tmp_path / "state" / "store").rglob("EVENTS")) / "msgs"

            async def keep() -> None:
                await server.stop()
                shutil.copytree(messages(), kept)
                await started_anew()

            async def fall_back() -> None:
                await server.stop()
                shutil.rmtree(messages())
                shutil.copytree(kept, messages())
                await started_anew()

            await ask.listen()
            await conformance_streams.a_stream_that_falls_back(ask, keep, fall_back)
            return ask.seen


def test_the_model_falls_back_as_a_real_server_does(fallen: list[object]) -> None:
    random = Random(1)

    async def main() -> list[object]:
        nats = Nats(random, NatsSettings(servers=("n1",)))
        link = nats.link("asker", inbox_prefix="_INBOX_op")
        await link.start()
        ask = Asker(link)
        await ask.listen()
        kept = 0

        async def keep() -> None:
            nonlocal kept
            kept = nats.last_seq

        async def fall_back() -> None:
            nats.fall_back(kept, with_buckets=False)
            await until(lambda: link.connects == 2 and nats.stream.is_ready)

        await conformance_streams.a_stream_that_falls_back(ask, keep, fall_back)
        return ask.seen

    assert run(main(), random) == fallen
