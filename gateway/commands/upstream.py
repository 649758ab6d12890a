"""Shell: NATS as a command reaches it: by a configuration file, or by what `tidewire up` left in its state folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from gateway.config import Config
from gateway.config_file import load
from gateway.nats_link import link_settings
from gateway.state_folder import StateFolder
from mesh.embedded import USERS
from mesh.link import Link

CONNECT_S = 5.0
"""Seconds to reach NATS in."""


def config_of(config_file: Path | None, state_dir: Path, user: str) -> Config:
    """The configuration in the file, as it is; without one the state folder's, as NATS user ``user``.

    Raises ``ConfigurationError`` when the file is wrong, or nothing runs in the folder.
    """
    if config_file is not None:
        return load(config_file)
    folder = StateFolder(state_dir)
    folder.needs_running()
    config = load(folder.config)
    nats = msgspec.structs.replace(
        config.nats, user=user, password_file=str(folder.password(user)), inbox_prefix=USERS[user]
    )
    return msgspec.structs.replace(config, nats=nats)


@asynccontextmanager
async def connected(config: Config, name: str) -> AsyncIterator[Link]:
    """A link that is up. Raises ``UpstreamUnavailable`` when NATS cannot be reached."""
    link = Link(link_settings(config.nats, name=name))
    await link.start(within_s=CONNECT_S)
    try:
        yield link
    finally:
        await link.close()
