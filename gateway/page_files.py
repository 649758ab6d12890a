"""Shell: the files of the demo page, read once: no name that a request brings ever becomes a path."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from security.errors import ConfigurationError

CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
"""What is served, by its suffix; other files are not."""
_FIRST: Final = "index.html"


class PageFile(NamedTuple):
    """One file as it is served."""

    content_type: str
    data: bytes


def page_files(page: Path | None = None, client: Path | None = None) -> dict[str, PageFile]:
    """Read every file by its URL path: ``/``, ``/page/NAME`` and, of the JavaScript client, ``/client/NAME.js``.

    ``page`` and ``client`` are folders, by default those of this installation. Raises ``ConfigurationError`` when the
    page or the client is not there.
    """
    page = page or page_folder()
    client = client or client_folder()
    files = {f"/page/{name}": file for name, file in _read(page, CONTENT_TYPES)}
    modules = {f"/client/{name}": file for name, file in _read(client, {".js": CONTENT_TYPES[".js"]})}
    if f"/page/{_FIRST}" not in files:
        raise ConfigurationError(f"{page / _FIRST}: is missing; install again, or leave the page out with --no-demo")
    return {"/": files[f"/page/{_FIRST}"], **files, **modules}


def page_folder() -> Path:
    """The page's folder in this package."""
    return Path(__file__).resolve().with_name("page")


def client_folder() -> Path:
    """The JavaScript client's modules: in the installed package, or in a working copy."""
    here = Path(__file__).resolve().parent
    installed = here / "page_client"
    return installed if installed.is_dir() else here.parent / "clients" / "js" / "src"


def _read(folder: Path, types: dict[str, str]) -> Iterator[tuple[str, PageFile]]:
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix in types and path.is_file():
                yield path.name, PageFile(types[path.suffix], path.read_bytes())
    except OSError as error:
        remedy = "install again, or leave the page out with --no-demo"
        raise ConfigurationError(f"{error.filename}: cannot be read ({error.strerror}); {remedy}") from None
