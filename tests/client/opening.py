"""Opening what a vector of sealed fields holds, for the tests of all its makers."""

import json
from typing import Any

from tidewire_client.keys import DeviceKeys
from tidewire_client.sealed import Opened, open_sealed


def open_vector(vector: dict[str, Any]) -> Opened:
    """Open a vector's data as the vector says, with the keys that it brings."""
    return open_sealed(
        vector["data"],
        subject=vector["subject"],
        message_id=vector["message_id"],
        keys=DeviceKeys.from_jwks(json.dumps(vector["keys"])),
        tenant=vector["tenant"],
        expected=vector["expected"],
    )
