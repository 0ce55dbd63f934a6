"""Commands from the city: each is carried out at most once and answered, whatever else is sent to the gateway."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import INTERNAL_ERROR, NOT_KEPT, RejectedError
from agent.base.guard import unexpected
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.token_bucket import TokenBucket
from agent.commands import command
from agent.commands.command import Command
from agent.commands.record import CommandRecord, Outcome
from agent.config.settings import Commands
from agent.delivery import wire
from agent.delivery.connection import Message

_log = logging.getLogger(__name__)

_MAX_WAITING = 64
_KEEP_S = 10.0
"""How long a command waits for its id to be durable."""
_BUSY = "too many commands at once"


class Store(Protocol):
    """Where ids are kept."""

    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...
    async def flush(self) -> None: ...

    @property
    def durable(self) -> bool: ...


class Actions(Protocol):
    """What commands do."""

    @property
    def actions(self) -> Mapping[str, Callable[[Command], Awaitable[object]]]: ...
    def flushed(self) -> bool: ...


class _Lane:
    """Commands that wait for their turn, and how many may come: ``per_s``, and ``burst`` at once."""

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self.waiting: asyncio.Queue[Command] = asyncio.Queue(_MAX_WAITING)
        self.answers: deque[tuple[str, bytes, bool]] = deque(maxlen=_MAX_WAITING)
        self._bucket = TokenBucket(per_s, burst, now_s)

    def take(self, one: Command, now_s: float) -> bool:
        """Let a command wait here; ``False`` where it may not."""
        if self.waiting.full() or not self._bucket.try_consume(now_s):
            return False
        self.waiting.put_nowait(one)
        return True


class CommandDispatcher:
    """An :class:`~agent.delivery.session.Inbox`. ``opened`` gives what a signed envelope holds, once it is verified,
    and raises :class:`RejectedError`. ``wake``: called when there is an answer.

    Three lanes, each with its own budget, queue and answers, so that a flood in one holds up no other: commands that
    only maintainers may publish by the shipped ACL (those with an effect), signed ones among the rest (each costs a
    verification), and unsigned ones.
    """

    def __init__(
        self,
        store: Store,
        settings: Commands,
        topics: wire.Topics,
        now: Callable[[], Stamp],
        opened: Callable[[bytes], Awaitable[bytes]],
        does: Actions,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._opened = opened
        self._settings = settings
        self._topics = topics
        self._now = now
        self._does = does
        self._wake = wake
        self._now_s = asyncio.get_running_loop().time
        now_s = self._now_s()
        self._guarded = _Lane(10.0, _MAX_WAITING, now_s)
        self._sealed = _Lane(0.2, 10, now_s)
        self._open = _Lane(5.0, 30, now_s)
        self._refusals = TokenBucket(1.0, 5, now_s)
        self._unsigned_record: CommandRecord | None = None
        self._signed_record: CommandRecord | None = None

    def topics(self) -> list[str]:
        """What is to be subscribed to."""
        return [self._topics.commands]

    def take(self, message: Message) -> None:
        """A message came. A retained one is dropped: it is a command for somebody who was there before."""
        if message.retain or not message.payload:
            return
        name = message.topic.rpartition("/")[2][:64]
        one = command.read(name, message.payload)
        if one is None:
            _log.warning(_("dropped a command without a valid id"), extra=log_extra(LogCode.COMMAND_DROPPED))
            return
        lane = self._lane(one)
        # Who floods the gateway is not answered each time: that would be a flood as well.
        if not lane.take(one, self._now_s()) and self._refusals.try_consume(self._now_s()):
            _log.warning(_("too many commands: some were refused"), extra=log_extra(LogCode.COMMAND_FLOOD))
            self._answer(lane, one, Outcome("rejected", _BUSY))

    def answer(self) -> tuple[str, bytes, bool] | None:
        """The next answer to be sent: topic, payload, and whether it is retained."""
        for lane in (self._guarded, self._sealed, self._open):
            if lane.answers:
                return lane.answers.popleft()
        return None

    def flushed(self) -> bool:
        """Whether everything is to be sent at once; true once after a ``flush``."""
        return self._does.flushed()

    async def run(self) -> None:
        """Carry out commands, for ever: one at a time in each lane."""
        async with asyncio.TaskGroup() as group:
            for lane in (self._guarded, self._sealed, self._open):
                group.create_task(self._serve(lane))

    async def _serve(self, lane: _Lane) -> None:
        while True:
            one = await lane.waiting.get()
            try:
                outcome = await self._carried_out(one)
            except RejectedError as error:
                outcome = Outcome("rejected", error.message)
            except Exception as error:  # noqa: BLE001 - the guard: no command may end the agent
                unexpected(f"command/{one.name}", error)
                outcome = Outcome("failed", INTERNAL_ERROR)
            self._answer(lane, one, outcome)

    def _lane(self, one: Command) -> _Lane:
        if one.name in command.GUARDED or one.name in command.SEALED:
            return self._guarded
        return self._sealed if one.sealed else self._open

    async def _carried_out(self, one: Command) -> Outcome:
        """Carry a command out, unless something is against it or it was before. Raises :class:`RejectedError`."""
        now = self._now()
        allow, needed, is_set = self._settings.allow, self._settings.signed, now.clock_quality > 0
        refusal = command.judge(one, now.t, is_set, allow, bool(one.sealed), needed)
        if refusal is not None:
            return Outcome(refusal.status, refusal.detail)
        signed = await self._is_signed(one)
        record = self._record(signed)
        known = record.get(one.id)
        if known is not None:
            return Outcome(known.status, "it was carried out before", known.result)
        if signed and record.full(now.t):
            return Outcome("rejected", _BUSY)
        # The id is durable before the effect: after a power cut in between it is not done, and not done twice. What has
        # no lasting effect costs the card no write of its own.
        durable = one.name in command.GUARDED or one.name in command.SEALED
        await self._put(record, one, Outcome("accepted", expires_ms=one.expires_ms), durable)
        outcome = await self._effect(one)
        with contextlib.suppress(RejectedError):  # it is done, whatever the disk says now
            await self._put(record, one, outcome, durable)
        return outcome

    async def _put(self, record: CommandRecord, one: Command, outcome: Outcome, durable: bool) -> None:
        record.put(one.id, outcome)
        if durable:
            try:
                async with asyncio.timeout(_KEEP_S):
                    await self._store.flush()
                if not self._store.durable:
                    raise TimeoutError
            except TimeoutError as error:
                raise RejectedError(NOT_KEPT, _("could not write its id to disk")) from error

    async def _effect(self, one: Command) -> Outcome:
        expires_ms = one.expires_ms
        try:
            return Outcome("done", "", await self._does.actions[one.name](one), expires_ms)
        except RejectedError as error:
            result = {"code": error.code, "message": error.message, "path": error.path}
            return Outcome("failed", f"{error.code}: {error}", result, expires_ms)
        except (ValueError, LookupError, TimeoutError) as error:
            return Outcome("failed", str(error) or type(error).__name__, None, expires_ms)

    async def _is_signed(self, one: Command) -> bool:
        """Whether it came signed. Raises :class:`RejectedError` where the signature is none that counts here."""
        if not one.sealed:
            return False
        await self._opened(one.sealed)
        if not command.meant(one, self._topics.base.rpartition("/")[2]):
            raise RejectedError(Rejection.TARGET, _("not meant for {gateway}").format(gateway=self._topics.base), "")
        return True

    def _record(self, signed: bool) -> CommandRecord:
        # Read when the first command comes: most gateways get none for months.
        if self._signed_record is None or self._unsigned_record is None:
            self._signed_record = CommandRecord("command.signed.", self._store.recall, self._store.remember)
            self._unsigned_record = CommandRecord("command.", self._store.recall, self._store.remember)
        return self._signed_record if signed else self._unsigned_record

    def _answer(self, lane: _Lane, one: Command, outcome: Outcome) -> None:
        try:
            payload = wire.reply(one.id, one.name, outcome.status, outcome.detail, outcome.result)
        except (ValueError, TypeError) as error:  # a result that cannot be written
            unexpected(f"command/{one.name}", error)
            payload = wire.reply(one.id, one.name, outcome.status, INTERNAL_ERROR, None)
        lane.answers.append((self._topics.reply(one.id), payload, False))
        self._wake()
