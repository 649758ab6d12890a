"""Shell: the folder in which `tidewire up` keeps everything, and who holds it."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Self

import msgspec

from security.errors import ConfigurationError


class NatsUrls(msgspec.Struct, frozen=True):
    """URLs with user and password."""

    publisher: str
    gateway: str

    def __repr__(self) -> str:
        return "NatsUrls(***)"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What `tidewire up` says when it is ready: its one JSON line. It holds passwords: for its owner alone."""

    url: str
    """The WebSocket."""
    http: str
    """The same server for HTTP: ``/health``, ``/ready``, ``/metrics``."""
    page: str | None
    """The demo page; None when it is turned off."""
    ca: str
    """File of the authority that signed the server's certificate."""
    nats: NatsUrls
    state_dir: str


class StateFolder:
    """Paths in the folder. ``hold`` before writing anything."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def nats(self) -> Path:
        """The folder of nats-server: streams, log, passwords."""
        return self.path / "nats"

    @property
    def development(self) -> Path:
        """The folder of the development issuer and authority."""
        return self.path / "development"

    @property
    def config(self) -> Path:
        """The gateway's configuration, written at each start."""
        return self.path / "gateway.toml"

    def password(self, user: str) -> Path:
        """The file with the password of a NATS user."""
        return self.path / f"{user}.password"

    @property
    def sealing_keys(self) -> Path:
        """The keys with which the shop and `tidewire publish` seal."""
        return self.path / "keys" / "publisher.json"

    def device_keys(self, data_subject: str) -> Path:
        """The keys that a device of one person holds."""
        return self.path / "keys" / f"{data_subject}.json"

    @property
    def positions(self) -> Path:
        """The folder in which `tidewire listen` keeps positions."""
        return self.path / "positions"

    @property
    def _running(self) -> Path:
        return self.path / "up.json"

    def hold(self) -> Self:
        """Make the folder, for its owner alone, and hold it until this process ends.

        Raises ``ConfigurationError`` when another `tidewire up` holds it, or it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"--state-dir: {self.path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise ConfigurationError(
                f"--state-dir: {self.path} is in use by another tidewire up (pid {holder}); stop it, or choose another"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        self._running.unlink(missing_ok=True)
        return self

    def release(self) -> None:
        """Let go of the folder: nothing runs there any more. Safe to repeat."""
        if self._lock is not None:
            self._running.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def write_private(self, path: Path, text: str) -> None:
        """Write a file of this folder for its owner alone, whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)

    def say_running(self, running: Running) -> None:
        """Write down where it runs, for the other commands."""
        self.write_private(self._running, msgspec.json.encode(running).decode() + "\n")

    def running(self) -> Running | None:
        """Where it runs; None when nothing runs in this folder."""
        try:
            return msgspec.json.decode(self._running.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def needs_running(self) -> Running:
        """As ``running``; raises ``ConfigurationError`` with the remedy when nothing runs."""
        found = self.running()
        if found is None:
            raise ConfigurationError(
                f"--state-dir: nothing runs in {self.path}; start tidewire up, or name its --state-dir"
            )
        return found


def one_line(running: Running) -> str:
    """The JSON line, with a space after each comma, as the documentation shows it."""
    return json.dumps(msgspec.to_builtins(running))
