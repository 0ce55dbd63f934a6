"""Commands to gateways, over one connection: found by their retained ``state``, asked, their replies waited for."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from agent.cli.broker_options import BrokerOptions
from agent.core import command, wire
from agent.core.link import Message
from agent.core.rollout import filters
from agent.core.text import say
from agent.edges.broker import Link

if TYPE_CHECKING:
    from agent.edges.signing_key import SigningKey

T = TypeVar("T")

_FIND_S = 5.0


class CannotSend(Exception):
    """The message cannot be made; the text says why."""


class Asking:
    """An open connection. Made by :meth:`open`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lost = asyncio.create_task(link.lost())
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._bases: dict[str, str] = {}
        link.on_message = self._inbox.put_nowait

    @classmethod
    async def open(cls, options: BrokerOptions) -> "Asking":
        """Connect. Raises :class:`~agent.core.link.LinkLost`."""
        return cls(await options.connect(f"gardu-command-{token_hex(4)}"))

    async def close(self) -> None:
        """Say goodbye and close."""
        self._lost.cancel()
        await self._link.close()

    async def ask(
        self, gateway: str, name: str, arguments: Mapping[str, Any], keys: "Sequence[SigningKey]", timeout_s: float
    ) -> dict[str, Any]:
        """Send a command, signed where there are keys, and give the reply. Raises :class:`~agent.core.link.LinkLost`,
        :class:`LookupError` where there is no such gateway, :class:`TimeoutError` where it does not reply, and
        :class:`CannotSend`."""
        base = self._bases[gateway] = self._bases.get(gateway) or await self._base(gateway)
        identity = token_hex(8)
        topic = wire.Topics(base).reply(identity)
        await self._link.subscribe([topic])
        asked = {"id": identity, "exp": int(1000 * (time.time() + timeout_s)), **arguments}
        payload = _payload(gateway, name, asked, keys)
        most = command.most_bytes(name)
        if len(payload) > most:
            raise CannotSend(say("too long for a command: at most {count} bytes", count=most))
        self._link.publish(f"{base}/command/{name}", payload)
        try:
            return await self._next(lambda one: _reply(one, topic), timeout_s)
        except TimeoutError:
            raise TimeoutError(say("{name} did not reply within {n:.0f} s", name=gateway, n=timeout_s)) from None

    async def _base(self, gateway: str) -> str:
        await self._link.subscribe([one.replace("/+/state", f"/{gateway}/state") for one in filters("state")])
        ending = f"/{gateway}/state"
        try:
            return await self._next(
                lambda one: one.topic.removesuffix("/state") if one.topic.endswith(ending) and one.payload else None,
                _FIND_S,
            )
        except TimeoutError:
            raise LookupError(say("no gateway {name} has told its state to this broker", name=gateway)) from None

    async def _next(self, wanted: Callable[[Message], T | None], timeout_s: float) -> T:
        """The first message that is wanted. Raises :class:`TimeoutError` and :class:`LinkLost`."""
        end_s = asyncio.get_running_loop().time() + timeout_s
        async with asyncio.timeout_at(end_s):
            while True:
                coming = asyncio.ensure_future(self._inbox.get())
                try:
                    await asyncio.wait((coming, self._lost), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                if not coming.done() or coming.cancelled():
                    raise self._lost.result()
                found = wanted(coming.result())
                if found is not None:
                    return found


def _reply(message: Message, topic: str) -> dict[str, Any] | None:
    if message.topic != topic:
        return None
    reply = json.loads(message.payload)
    return reply if isinstance(reply, dict) else {}


def _payload(gateway: str, name: str, asked: Mapping[str, Any], keys: "Sequence[SigningKey]") -> bytes:
    if not keys:
        return json.dumps(asked).encode()
    from agent.core.envelope import COMMAND_TYPE, pre_authentication, table, written

    inner = json.dumps({**asked, "command": name, "gateway": gateway}).encode()
    signed = pre_authentication(COMMAND_TYPE, inner)
    return written(table(COMMAND_TYPE, inner, {key.public: key.sign(signed) for key in keys}))
