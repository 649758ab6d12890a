"""A client process on the Python SDK, made to be killed: prints a JSON line for each event it has processed."""

import asyncio
import json
import sys
from pathlib import Path

from tidewire_client import Client, FileState


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def listen(url: str, ca: str, token: str, session: str, state: str, subjects: list[str]) -> None:
    client = Client(
        url,
        token=token,
        session=session,
        ca=ca,
        state=FileState(Path(state)),
        on_live=lambda live: say(live=str(live)),
        on_gap=lambda gap: say(gap=str(gap)),
    )
    async with client:
        async for event in client.subscribe(*subjects):
            say(seq=event.seq, subject=event.subject)


if __name__ == "__main__":
    gateway_url, ca_file, bearer, name, state_file, *patterns = sys.argv[1:]
    asyncio.run(listen(gateway_url, ca_file, bearer, name, state_file, patterns))
