"""The files of the demo page, read once."""

from pathlib import Path

import pytest

from gateway.page_files import PageFile, client_folder, page_files, page_folder
from security.errors import ConfigurationError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A page and a client, with files beside that are nobody's business."""
    page, client = tmp_path / "page", tmp_path / "client"
    for path, data in (
        (page / "index.html", "<p>1</p>"),
        (page / "board.css", "p{}"),
        (page / "board.js", "1"),
        (page / "mark.svg", "<svg/>"),
        (page / "notes.md", "mine"),
        (page / ".env", "secret"),
        (page / "inner" / "deep.js", "2"),
        (client / "index.js", "3"),
        (client / "index.html", "none"),
        (client / "package.json", "{}"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    return page, client


def test_files_are_served_by_a_fixed_list_with_their_types(folders: tuple[Path, Path]) -> None:
    assert page_files(*folders) == {
        "/": PageFile("text/html; charset=utf-8", b"<p>1</p>"),
        "/page/index.html": PageFile("text/html; charset=utf-8", b"<p>1</p>"),
        "/page/board.css": PageFile("text/css; charset=utf-8", b"p{}"),
        "/page/board.js": PageFile("text/javascript; charset=utf-8", b"1"),
        "/page/mark.svg": PageFile("image/svg+xml; charset=utf-8", b"<svg/>"),
        "/client/index.js": PageFile("text/javascript; charset=utf-8", b"3"),
    }


def test_a_missing_page_and_a_missing_client_are_told_with_the_way_out(folders: tuple[Path, Path]) -> None:
    page, client = folders
    with pytest.raises(ConfigurationError, match=r"nowhere: cannot be read \(No such file.*--no-demo"):
        page_files(page, client / "nowhere")
    (page / "index.html").unlink()
    with pytest.raises(ConfigurationError, match=r"index\.html: is missing; .*--no-demo"):
        page_files(page, client)


def test_a_working_copy_has_both_folders() -> None:
    assert (page_folder() / "index.html").is_file()
    assert (client_folder() / "index.js").is_file()
    assert {"/", "/client/index.js"} <= page_files().keys()
