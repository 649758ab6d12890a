"""What WebCrypto and the package ``jose`` seal opens here (clients/js/scripts/make-sealed-vectors.js)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.opening import open_vector

PATH = Path(__file__).parents[1] / "vectors" / "sealed_js.json"
VECTORS: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_javascript_seals_opens(vector: dict[str, Any]) -> None:
    """P5.2, P5.5."""
    opened = open_vector(vector)
    assert (opened.opened, opened.shut) == (("contact", "health"), {})
    assert opened.data == vector["expect"]["data"]


def test_both_makers_sealed_the_same_cases() -> None:
    names = [vector["name"].split(": ") for vector in VECTORS]
    cases = {maker: [case for by, case in names if by == maker] for maker in ("WebCrypto", "jose")}
    assert cases["WebCrypto"] == cases["jose"] != []
    assert len(names) == 2 * len(cases["jose"])
