"""The model of JetStream and a real server answer alike."""

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from mesh.topology import Topology
from tests.servers import linked, running_server
from tests.sim import conformance_consumers, conformance_streams
from tests.sim.clock import run
from tests.sim.conformance import Asker, Script
from tests.sim.nats import Nats, NatsSettings

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
