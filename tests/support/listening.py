"""A running ``gardu listen``, which is known to be subscribed."""

import asyncio
import contextlib
import signal
from pathlib import Path
from types import TracebackType

from tests.support.agent_process import start_gardu
from tests.support.mosquitto import PATIENCE_S, until


def noted(log: Path) -> str:
    """Lines of a broker's configuration that make it note each subscription in this file."""
    return f"\nlog_dest file {log}\nlog_type subscribe\n"


class Listening:
    """``gardu listen`` with these arguments; ``log`` is where the broker notes subscriptions (:func:`noted`).
    ``out``, ``err``: the lines it has printed so far."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        self.out: list[str] = []
        self.err: list[str] = []

    async def __aenter__(self) -> "Listening":
        before = self._subscriptions()
        self._process = await start_gardu("listen", *self._arguments)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._reading = asyncio.gather(
            _collect(self._process.stdout, self.out), _collect(self._process.stderr, self.err)
        )
        await until(lambda: self._subscriptions() > before)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def printed(self, lines: int) -> None:
        """Wait until it has printed so many lines."""
        await until(lambda: len(self.out) >= lines)

    async def stop(self) -> int:
        """End it as Ctrl-C does; give its exit status."""
        self._process.send_signal(signal.SIGINT)
        status = await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        await self._reading
        return status

    def _subscriptions(self) -> int:
        return self._log.read_text().count(" gardu-listen-")


async def _collect(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip("\n"))
