"""A position that is still being written when the connection is lost: the client comes back, and closes, as ever."""

import asyncio
import threading

import pytest
from tidewire_client import Backoff, Client, MemoryState, Position, Scope

from tests.client.scripted_server import STREAM, event, live, scripted_gateway, welcome
from tests.until import until


class SlowState(MemoryState):
    """Writes when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Position | None] = []
        self.let = asyncio.Event()

    async def save(self, scope: Scope, position: Position | None) -> None:
        self.begun.append(position)
        await self.let.wait()
        await super().save(scope, position)


async def test_a_cut_while_the_position_is_written_keeps_nobody_from_coming_back_and_closing() -> None:
    state = SlowState()
    state.let.set()
    async with scripted_gateway() as gateway:
        swift = Backoff(least_s=0.01, max_s=0.05, quick_s=0.01)
        client = Client(gateway.url, token="t1", session="pixel-7", backoff=swift, state=state)
        async with client:
            events = client.subscribe("orders.>")
            peer = await gateway.accept()
            await peer.expect("connect")
            await peer.send(welcome(after=10), live(10))
            await until(lambda: state.begun == [Position(STREAM, 10)])
            state.let.clear()
            await peer.send(event(20))
            await (await anext(events)).ack()
            flushing = asyncio.ensure_future(client.flush())
            await until(lambda: state.begun[-1] == Position(STREAM, 20))
            peer.socket.transport.abort()
            again = await gateway.accept()
            state.let.set()
            await flushing
            assert (await again.expect("connect"))["resume"] == {"stream": STREAM, "seq": 20}


async def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    """P6.1."""
    state = SlowState()
    state.let.set()
    async with scripted_gateway() as gateway, Client(gateway.url, token="t1", session="p", state=state) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        await peer.send(welcome(after=10), live(10))
        await until(lambda: state.begun == [Position(STREAM, 10)])
        state.let.clear()
        await peer.send(event(20))
        await (await anext(events)).ack()
        flushing = asyncio.ensure_future(client.flush())
        await until(lambda: state.begun[-1] == Position(STREAM, 20))
        await (await peer.socket.ping())  # the client is at work all the same
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await peer.socket.recv()
        state.let.set()
        await flushing
        assert await peer.expect("ack") == {"type": "ack", "seq": 20}


async def test_a_program_whose_tasks_are_all_cancelled_at_once_ends() -> None:
    state = SlowState()
    state.let.set()

    async def program() -> None:
        async def listen() -> None:
            async with Client(gateway.url, token="t1", session="pixel-7", state=state) as client:
                async for _ in client.subscribe("orders.>"):
                    pass

        async with scripted_gateway() as gateway:
            listening = asyncio.ensure_future(listen())
            peer = await gateway.accept()
            await peer.expect("connect")
            await peer.send(welcome(after=10), event(20), live(20))
            await until(lambda: state.begun == [Position(STREAM, 10)])
            assert not listening.done()
        # its end: asyncio.run cancels what is left, the client's own tasks with it

    ending = threading.Thread(target=lambda: asyncio.run(program()), daemon=True)
    ending.start()
    await until(lambda: not ending.is_alive(), 10)
