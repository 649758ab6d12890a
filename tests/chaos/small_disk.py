"""A file system of few bytes for one server's store, which can be made full."""

import errno
import os
import subprocess
import sys
from pathlib import Path

SIZE_MB = 96


class SmallDisk:
    """A tmpfs mounted at a folder, where that is permitted."""

    def __init__(self, folder: Path, size_mb: int = SIZE_MB) -> None:
        self.folder = folder
        self.size_mb = size_mb
        self._is_mounted = False

    def mount(self) -> str:
        """Mount it; returns why not, or nothing."""
        self.folder.mkdir(parents=True, mode=0o700)
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            return "mounting a tmpfs needs Linux and root"
        options = f"size={self.size_mb}m,mode=0700"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tidewire-chaos", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        self._is_mounted = made.returncode == 0
        return "" if self._is_mounted else made.stderr.strip()

    def unmount(self) -> None:
        """Take it away again."""
        if self._is_mounted:
            self._is_mounted = False
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self) -> int:
        """Write until nothing more goes; returns the bytes written."""
        written, block = 0, bytes(1 << 16)
        with (self.folder / "filler").open("ab", buffering=0) as file:
            while True:
                try:
                    written += file.write(block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    if len(block) == 1:
                        return written
                    block = block[: len(block) // 16 or 1]

    def free(self) -> None:
        """Take the filler away."""
        (self.folder / "filler").unlink(missing_ok=True)
