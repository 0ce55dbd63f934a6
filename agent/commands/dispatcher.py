"""Executes each remote command at most once and replies to every one, whatever else is sent to the gateway."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import INTERNAL_ERROR, NOT_SAVED, RejectedError
from agent.base.guard import unexpected
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.token_bucket import TokenBucket
from agent.commands.arguments import parse_arguments
from agent.commands.authorization import authorize
from agent.commands.command import Command, parse_command
from agent.commands.context import CommandContext
from agent.commands.lane import MAX_WAITING, Lane
from agent.commands.record import CommandRecord, Outcome
from agent.commands.registry import COMMANDS
from agent.config.settings import Commands
from agent.delivery import wire
from agent.delivery.connection import Message

_log = logging.getLogger(__name__)

_MAX_NAME_CHARS = 64
_PERSIST_S = 10.0
"""How long a command waits for its id to become durable."""
_BUSY = "too many commands at once"


class CommandDispatcher:
    """An :class:`~agent.delivery.session.Inbox`.

    ``open_envelope`` verifies a signed envelope and raises :class:`~agent.base.errors.RejectedError`. ``wake`` is
    called when there is a reply to send.

    There are three lanes: commands that only maintainers may publish under the shipped ACL (those with an effect),
    other signed ones (each costs a verification), and unsigned ones.
    """

    def __init__(
        self,
        context: CommandContext,
        settings: Commands,
        topics: wire.Topics,
        now: Callable[[], Stamp],
        open_envelope: Callable[[bytes], Awaitable[bytes]],
        wake: Callable[[], None],
    ) -> None:
        self._context = context
        self._settings = settings
        self._topics = topics
        self._gateway = topics.base.rpartition("/")[2]
        self._now = now
        self._open_envelope = open_envelope
        self._wake = wake
        self._loop_s = asyncio.get_running_loop().time
        now_s = self._loop_s()
        self._effect_lane = Lane(10.0, MAX_WAITING, now_s)
        self._signed_lane = Lane(0.2, 10, now_s)
        self._open_lane = Lane(5.0, 30, now_s)
        self._lanes = (self._effect_lane, self._signed_lane, self._open_lane)
        self._busy_replies = TokenBucket(1.0, 5, now_s)
        self._records: dict[bool, CommandRecord] = {}

    def topics(self) -> list[str]:
        """Return the topic filters to subscribe to."""
        return [self._topics.commands]

    def handle(self, message: Message) -> None:
        """Queue the command in a message. A retained one is dropped: it was meant for an earlier moment."""
        if message.retain or not message.payload:
            return
        name = message.topic.rpartition("/")[2][:_MAX_NAME_CHARS]
        command = parse_command(name, message.payload)
        if command is None:
            _log.warning(_("dropped a command without a valid id"), extra=log_extra(LogCode.COMMAND_DROPPED))
            return
        lane = self._lane(command)
        # Replying to every message of a flood would be a flood as well.
        if not lane.offer(command, self._loop_s()) and self._busy_replies.try_consume(self._loop_s()):
            _log.warning(_("too many commands: some were rejected"), extra=log_extra(LogCode.COMMAND_FLOOD))
            self._reply(lane, command, Outcome("rejected", _BUSY))

    def answer(self) -> tuple[str, bytes, bool] | None:
        """Return the next reply to send: topic, payload, and whether it is retained."""
        for lane in self._lanes:
            if lane.replies:
                return lane.replies.popleft()
        return None

    def flushed(self) -> bool:
        """Return whether everything is due at once: true once after a ``flush``."""
        requested, self._context.flush_requested = self._context.flush_requested, False
        return requested

    async def run(self) -> None:
        """Execute commands for ever, one at a time in each lane."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._serve(lane))

    async def _serve(self, lane: Lane) -> None:
        while True:
            command = await lane.next()
            try:
                outcome = await self._process(command)
            except RejectedError as error:
                outcome = Outcome("rejected", error.message)
            except Exception as error:  # noqa: BLE001 - the guard: no command may end the agent
                unexpected(f"command/{command.name}", error)
                outcome = Outcome("failed", INTERNAL_ERROR)
            self._reply(lane, command, outcome)

    def _lane(self, command: Command) -> Lane:
        if command.name in COMMANDS and COMMANDS[command.name].has_effect:
            return self._effect_lane
        return self._signed_lane if command.envelope else self._open_lane

    async def _process(self, command: Command) -> Outcome:
        """Execute a command that is authorized and new. Raises :class:`RejectedError`."""
        now = self._now()
        denial = authorize(command, self._settings, now.t, clock_is_set=now.clock_quality > 0)
        if denial is not None:
            return Outcome(denial.status, denial.detail)
        signed = await self._is_signed(command)
        record = self._record(signed)
        known = record.get(command.id)
        if known is not None:
            return Outcome(known.status, "it was carried out before", known.result)
        if signed and record.full(now.t):
            return Outcome("rejected", _BUSY)
        # The id is durable before the effect: after a power cut in between, the command is not executed, and never
        # twice. A command without a lasting effect costs the card no write of its own.
        durable = COMMANDS[command.name].has_effect
        await self._persist(record, command, Outcome("accepted", expires_ms=command.expires_ms), durable)
        outcome = await self._execute(command)
        with contextlib.suppress(RejectedError):  # it has been executed, even if the disk fails now
            await self._persist(record, command, outcome, durable)
        return outcome

    async def _persist(self, record: CommandRecord, command: Command, outcome: Outcome, durable: bool) -> None:
        record.put(command.id, outcome)
        if durable:
            try:
                async with asyncio.timeout(_PERSIST_S):
                    await self._context.store.flush()
                if not self._context.store.durable:
                    raise TimeoutError
            except TimeoutError as error:
                raise RejectedError(NOT_SAVED, _("could not write the command's id to disk")) from error

    async def _execute(self, command: Command) -> Outcome:
        kind, expires_ms = COMMANDS[command.name], command.expires_ms
        try:
            arguments = parse_arguments(kind.arguments, command.arguments)
            return Outcome("done", "", await kind.execute(self._context, arguments), expires_ms)
        except RejectedError as error:
            result = {"code": error.code, "message": error.message, "path": error.path}
            return Outcome("failed", f"{error.code}: {error}", result, expires_ms)
        except (ValueError, LookupError, TimeoutError) as error:
            return Outcome("failed", str(error) or type(error).__name__, None, expires_ms)

    async def _is_signed(self, command: Command) -> bool:
        """Return whether it came in an envelope. Raises :class:`RejectedError` where that is not valid here."""
        if not command.envelope:
            return False
        await self._open_envelope(command.envelope)
        if not command.is_addressed_to(self._gateway):
            raise RejectedError(Rejection.TARGET, _("not meant for {gateway}").format(gateway=self._topics.base), "")
        return True

    def _record(self, signed: bool) -> CommandRecord:
        # Read from the store when the first command arrives: most gateways get none for months.
        if signed not in self._records:
            prefix = "command.signed." if signed else "command."
            self._records[signed] = CommandRecord(prefix, self._context.store.recall, self._context.store.remember)
        return self._records[signed]

    def _reply(self, lane: Lane, command: Command, outcome: Outcome) -> None:
        try:
            payload = wire.reply(command.id, command.name, outcome.status, outcome.detail, outcome.result)
        except (ValueError, TypeError) as error:  # a result that cannot be encoded
            unexpected(f"command/{command.name}", error)
            payload = wire.reply(command.id, command.name, outcome.status, INTERNAL_ERROR, None)
        lane.replies.append((self._topics.reply(command.id), payload, False))
        self._wake()
