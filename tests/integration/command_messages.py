"""Commands as any client may publish them."""

import json
import time
from typing import Any

from tests.support.agent_process import BASE


def asked(identity: str, seconds: float = 60.0, **arguments: Any) -> bytes:
    return json.dumps({"id": identity, "exp": int(1000 * (time.time() + seconds)), **arguments}).encode()


def publish(port: int, name: str, payload: bytes, retain: bool = False) -> None:
    from paho.mqtt import publish as once

    once.single(f"{BASE}/command/{name}", payload, 1, retain, "127.0.0.1", port)
