"""What users install: the four floors, nats.conf and what the demo page needs, and nothing that is only ours."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.repo.sources import FLOORS, ROOT, files, name_of


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names in a wheel built without the network."""
    folder: Path = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    ended = subprocess.run(build, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return frozenset(archive.namelist())


def test_the_wheel_holds_every_module_of_the_four_floors(wheel: frozenset[str]) -> None:
    ours = {name_of(path) for path in files() if name_of(path).partition("/")[0] in FLOORS}
    assert {f"{floor}/py.typed" for floor in FLOORS} <= ours
    assert ours - wheel == set()


def test_the_wheel_holds_the_configuration_of_nats(wheel: frozenset[str]) -> None:
    assert "mesh/nats.conf" in wheel


def test_the_wheel_holds_the_page_and_every_module_of_the_javascript_client(wheel: frozenset[str]) -> None:
    """What `tidewire up` serves comes with it: nothing is fetched from elsewhere."""
    assert "gateway/page/index.html" in wheel
    modules = {path.name for path in files(".js") if name_of(path.parent) == "clients/js/src"}
    assert {"index.js", "core.js"} <= modules
    assert {f"gateway/page_client/{name}" for name in modules} - wheel == set()


def test_the_wheel_holds_nothing_else(wheel: frozenset[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(FLOORS)
