"""The agent as its users have it: a process of its own, with its standard error and its store to look at afterwards."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgpack

from agent.fleet.gap_ledger import StreamId
from agent.store.io.database import Database
from tests.support.mosquitto import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
GATEWAY = "pos-1"
BASE = f"makassar/v1/security/checkpoint/{GATEWAY}"

Accepted = dict[tuple[StreamId, int], Mapping[str, object]]
"""What a store took in: (gateway, stream, epoch) and number -> the row."""


def configuration(
    broker: str, sensors: Iterable[str] = (), publish: str = "max_delay_s = 0.5", commit_s: float = 0
) -> str:
    """A whole ``gardu.toml``. ``broker``: a url, or the lines of ``[broker]``; ``sensors``: from :func:`sensor`."""
    table = broker if "=" in broker else f'url = "{broker}"'
    return (
        f'[gateway]\nid = "{GATEWAY}"\nsite = "checkpoint"\nsector = "security"\n[broker]\n{table}\n'
        f"[publish]\n{publish}\n[store]\ncommit_s = {commit_s}\n" + "".join(sensors)
    )


def sensor(name: str, driver: str, port: Path | str = "", more: str = "") -> str:
    """One ``[[sensor]]``."""
    where = f'port = "{port}"\n' if port else ""
    return f'[[sensor]]\nid = "{name}"\ndriver = "{driver}"\n{where}{more}\n'


class AgentProcess:
    """``gardu run`` in ``folder``. ``lines``: what it wrote to standard error, over all its starts.

    ``packages``: a directory of other installed distributions; ``arguments``: further ones of the command; ``module``:
    what is run in place of the agent.
    Use it with ``async with``: it is killed at the end.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        packages: Path | None = None,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        module: str = "agent",
    ) -> None:
        self._module = module
        self.file = folder / "gardu.toml"
        self.state = folder / "state"
        self.file.write_text(text)
        self.lines: list[str] = []
        self._environ = agent_environ(packages, environ)
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AgentProcess":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Start it (again). ``environ``: added for this time."""
        command = (sys.executable, "-m", self._module, "run", "--config", str(self.file), "--state", str(self.state))
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environ, **(environ or {})},
            cwd=self.file.parent,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def kill(self) -> None:
        """End it as a power cut would: at once, without a word."""
        if self._process is not None and self._reading is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._reading

    async def stop(self) -> tuple[int, float]:
        """End it as systemd would; give its exit status and the seconds it took."""
        assert self._process is not None
        began_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        status = await self.ended(20.0)
        return status, time.monotonic() - began_s

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def hang_up(self) -> None:
        """Have it read its files again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def ended(self, timeout_s: float) -> int:
        """Wait until it has ended; give its exit status."""
        assert self._process is not None
        assert self._reading is not None
        status = await asyncio.wait_for(self._process.wait(), timeout_s)
        await self._reading
        return status

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        assert self._process is not None
        return self._process.pid

    def peak_mb(self) -> float:
        """The most memory that it was resident with since its start, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def told(self, words: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait for a line on standard error that has these words; give it."""
        try:
            await until(lambda: self.count(words) or not self.running(), timeout_s)
        except TimeoutError:
            raise AssertionError(f"never said {words!r}, but: {self.lines}") from None
        found = [line for line in self.lines if words in line]
        assert found, f"ended without saying {words!r}: {self.lines}"
        return found[0]

    def count(self, words: str) -> int:
        """How many lines on standard error have these words."""
        return sum(words in line for line in self.lines)

    def accepted(self) -> Accepted:
        """Every row that the store gave a number to. For a stopped agent."""
        database = Database(self.state / "store.db", 1 << 28, "00000000", "00000000")
        try:
            return {
                (StreamId(GATEWAY, stream, row.context.epoch), row.seq): {"t": row.t, **msgpack.unpackb(row.body)}
                for stream, account in database.accounts.items()
                for row in database.rows(stream, 1, account.next, account.next)
            }
        finally:
            database.close()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip())


def agent_environ(packages: Path | None = None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that imports the agent: English, without what this computer's user has set."""
    path = os.pathsep.join(str(one) for one in (ROOT, packages) if one is not None)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    return {**kept, "PYTHONPATH": path, "LANG": "C.UTF-8", **(more or {})}


async def start_gardu(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    under: Sequence[str] = (),
    module: str = "agent",
    stdin: int = asyncio.subprocess.DEVNULL,
) -> asyncio.subprocess.Process:
    """Start one command, with pipes for its output.

    ``under``: the words of a command that runs it, as ``setpriv``; ``module``: what is run in place of the agent.
    """
    return await asyncio.create_subprocess_exec(
        *(*under, sys.executable, "-m", module, *arguments),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=agent_environ(more=environ),
    )


async def gardu(
    *arguments: str, timeout_s: float = 30.0, environ: Mapping[str, str] | None = None, under: Sequence[str] = ()
) -> tuple[int, str, str]:
    """Run one command (as :func:`start_gardu`) to its end; give exit status, standard output and standard error."""
    process = await start_gardu(*arguments, environ=environ, under=under)
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
