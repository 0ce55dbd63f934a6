"""A subscriber that misses nothing and keeps all that came, in the order in which it came."""

import json
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from agent.delivery import wire

_CONNECT_S = 10.0


class Received(NamedTuple):
    """One message, as it came."""

    topic: str
    payload: bytes


class Recorder:
    """paho in a thread of its own, with a session that the broker keeps: while the recorder is cut off, the broker
    collects. ``with Recorder(port) as recorder`` is subscribed to everything.

    ``tls``: files of the CA, the certificate and the key. ``login``: user and password.
    """

    def __init__(
        self, port: int, tls: tuple[str, str, str] | None = None, login: tuple[str, str] | None = None
    ) -> None:
        self.messages: list[Received] = []
        self._rows: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
        self._port = port
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "recorder", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if tls is not None:
            self._client.tls_set(*tls)
        if login is not None:
            self._client.username_pw_set(*login)
        self.connections = 0
        """How often it was connected."""
        self.forgotten = 0
        """How often the broker did not know its session any more: then messages may have passed it by."""
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> "Recorder":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._subscribed.wait(_CONNECT_S):
            raise TimeoutError("the recorder was not subscribed")
        return self

    def __exit__(self, *error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, userdata: object, flags: Any, *rest: object) -> None:
        self.forgotten += self.connections > 0 and not flags.session_present
        self.connections += 1
        client.subscribe("#", 1)

    def _take(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        received = Received(message.topic, bytes(message.payload))
        # What the broker itself repeats after a restart (its own QoS 1, towards us) is none of the agent's doing.
        if message.dup and received in self.messages:
            return
        address = wire.parse_topic(received.topic)
        if address is not None and address.leaf.startswith(("telemetry/", "event/")):
            batch = wire.parse_batch(wire.decode(received.payload))
            rows = self._rows.setdefault(address.leaf, {}).setdefault(batch.epoch, {})
            rows.update((batch.seq + index, row) for index, row in enumerate(batch.rows))
        self.messages.append(received)

    def forget(self) -> None:
        """As if nothing had come yet."""
        self.messages.clear()
        self._rows.clear()

    def last(self, leaf: str) -> Any:
        """The newest JSON message whose topic ends so; ``None`` where none came."""
        found = [one.payload for one in self.messages if one.topic.endswith(f"/{leaf}")]
        return json.loads(found[-1]) if found else None

    def sessions(self) -> int:
        """How many sessions of the agent have said that they are online: by then each is subscribed."""
        states = [json.loads(one.payload) for one in list(self.messages) if one.topic.endswith("/state")]
        return len({state["gen"] for state in states if state["online"]})

    def rows(self, stream: str) -> list[Mapping[str, Any]]:
        """The rows of a stream by epoch (as they came) and number, each once."""
        epochs = list(self._rows.get(stream, {}).values())
        return [rows[number] for rows in epochs for number in sorted(rows.copy())]

    def whole(self, stream: str) -> bool:
        """Whether of each epoch all numbers from 1 to the highest came."""
        epochs = [sorted(rows.copy()) for rows in list(self._rows.get(stream, {}).values())]
        return all(numbers == list(range(1, len(numbers) + 1)) for numbers in epochs)

    def events(self, name: str, **fields: object) -> list[Mapping[str, Any]]:
        """The agent's own events of this name that say these things."""
        return [
            row
            for row in self.rows("event/_agent")
            if row["ev"] == name and all(row.get(key) == value for key, value in fields.items())
        ]
