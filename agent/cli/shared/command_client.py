"""Sends commands to gateways over one connection: finds each by its retained ``state`` and waits for its reply."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import loads
from agent.cli.shared.broker_options import BrokerOptions
from agent.cli.shared.maintainer_files import CommandFailed
from agent.cli.shared.prepared_command import PreparedCommand, prepare
from agent.delivery import wire
from agent.delivery.connection import Message
from agent.delivery.io.mqtt import MqttConnection
from agent.fleet.reports import Fleet, filters

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey

T = TypeVar("T")

_FIND_S = 5.0
_MOVED_S = 1.0
"""How long to wait for a path at which the gateway is online, after one at which it is offline."""
_MAX_REPLY_BYTES = 262_144


class CommandClient:
    """An open connection for several commands at a time. Created by :meth:`open`."""

    def __init__(self, link: MqttConnection) -> None:
        self._link = link
        self._lost = asyncio.create_task(link.lost())
        self._fleet = Fleet()
        self._fleet_changed = asyncio.Event()
        self._replies: dict[str, asyncio.Future[bytes]] = {}
        link.on_message = self._on_message

    @classmethod
    async def open(cls, options: BrokerOptions) -> "CommandClient":
        """Connect. Raises :class:`~agent.delivery.connection.ConnectionLost`."""
        return cls(await options.connect(f"gardu-command-{token_hex(4)}"))

    async def close(self) -> None:
        """Disconnect."""
        self._lost.cancel()
        await self._link.close()

    async def request(
        self, gateway: str, name: str, arguments: Mapping[str, Any], keys: "Sequence[SigningKey]", timeout_s: float
    ) -> dict[str, Any]:
        """Prepare a command, signed if there are keys, and :meth:`send` it."""
        return await self.send(prepare(gateway, name, arguments, keys, timeout_s), timeout_s)

    async def send(self, command: PreparedCommand, timeout_s: float) -> dict[str, Any]:
        """Send a command and return the reply. Raises :class:`~agent.delivery.connection.ConnectionLost`;
        :class:`LookupError` if there is no such gateway; :class:`TimeoutError` if it does not reply; and
        :class:`CommandFailed` if its reply cannot be read."""
        base = await self._base(command.gateway)
        topic = wire.Topics(base).reply(command.id)
        reply = self._replies[topic] = asyncio.get_running_loop().create_future()
        try:
            await self._link.subscribe([topic])
            self._link.publish(f"{base}/command/{command.name}", command.payload)
            return _parse_reply(command.gateway, await self._within(reply, timeout_s))
        except TimeoutError:
            raise TimeoutError(
                _("{name} did not reply within {n:.0f} s").format(name=command.gateway, n=timeout_s)
            ) from None
        finally:
            del self._replies[topic]

    async def _base(self, gateway: str) -> str:
        if self._fleet.get(gateway) is None:
            await self._link.subscribe([topic.replace("/+/state", f"/{gateway}/state") for topic in filters("state")])
        now_s = asyncio.get_running_loop().time
        end_s, moved_s = now_s() + _FIND_S, now_s() + _MOVED_S
        while True:
            found = self._fleet.get(gateway)
            if found is not None and found.online:
                return found.base
            until_s = end_s if found is None else moved_s
            self._fleet_changed.clear()
            try:
                await self._within(self._fleet_changed.wait(), until_s - now_s())
            except TimeoutError:
                if found is not None:
                    return found.base
                raise LookupError(
                    _("no gateway {name} has published its state on this broker").format(name=gateway)
                ) from None

    async def _within(self, awaitable: Awaitable[T], timeout_s: float) -> T:
        """Wait for a result. Raises :class:`TimeoutError` and :class:`~agent.delivery.connection.ConnectionLost`."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait((waiting, self._lost), timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if self._lost.done():
                raise self._lost.result()
            raise TimeoutError
        finally:
            waiting.cancel()

    def _on_message(self, message: Message) -> None:
        reply = self._replies.get(message.topic)
        if reply is None:
            self._fleet.on_message(message.topic, message.payload)
            self._fleet_changed.set()
        elif not reply.done():
            reply.set_result(message.payload)


def _parse_reply(gateway: str, payload: bytes) -> dict[str, Any]:
    """Parse a reply. Raises :class:`CommandFailed`."""
    try:
        reply = loads(payload, _MAX_REPLY_BYTES)
    except RejectedError as error:
        raise CommandFailed(_("{name}: cannot read its reply: {why}").format(name=gateway, why=error)) from error
    if not isinstance(reply, dict):
        raise CommandFailed(
            _("{name}: cannot read its reply: {why}").format(name=gateway, why=_("does not follow the wire contract"))
        )
    return reply
