"""A gateway on a machine whose power is cut: the whole agent, a sensor that sends numbers, and a broker.

It runs as user-mode Linux (tests/hosts/kernel/power_init). What it says leaves the machine at once, one JSON a line: on
tty1 each commit once it has returned, on tty2 each message before it is acknowledged. ``GARDU_DRAIN``: the sensor stops
after a moment, and the agent once everything was delivered.
"""

import asyncio
import json
import os
import signal
import socket
import struct
import sys
import tty
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

import msgpack

from agent.base.reading import Row
from agent.cli import main
from agent.store import store as store_module
from agent.store.commit import Commit
from agent.store.io.backend import Backend
from tests.support.agent_process import configuration, sensor
from tests.support.scripted_broker import Publish, ScriptedBroker, Session

_LINES = "[sensor.lines]\nformat = 'pattern'\npattern = 'n(?P<n>[0-9]+)'\n[sensor.fields]\nn = {}\n"
_SENSOR = "telemetry/lines-1"
_EVERY_S = 0.02
_ROWS_OF_A_DRAIN = 30
_DRAINS = "GARDU_DRAIN" in os.environ
_UP = struct.pack("16sh", b"lo", 1 | 64)
_SIOCSIFFLAGS = 0x8914


class TellingBackend(Backend):
    """Says which rows are durable. ``GARDU_SYNCHRONOUS``: SQLite's setting, where a test weakens it."""

    def open(self, board: str) -> None:
        super().open(board)
        if weaker := os.environ.get("GARDU_SYNCHRONOUS"):
            assert self.disk is not None
            self.disk.tables.connection.execute(f"PRAGMA synchronous={weaker}")

    def commit(self, commit: Commit) -> Commit:
        super().commit(commit)
        for stream, (start, stop) in commit.assigned.items():
            tell(_accepted, stream, self.active.rows(stream, start, stop, stop - start))
        if _DRAINS and self._is_drained():
            os.kill(os.getpid(), signal.SIGTERM)
        return commit

    def _is_drained(self) -> bool:
        """Whether everything of earlier boots was delivered, and everything of the sensor."""
        owed = ((name, next(account.deliverable(), None)) for name, account in self.active.accounts.items())
        current = self.active.property("ep")
        return all(
            found is None or (name != _SENSOR and self.active.accounts[name].epoch_of(found[0]) == current)
            for name, found in owed
        )


def tell(terminal: int, stream: str, rows: Sequence[Row]) -> None:
    """Say what rows contain: stream, and epoch, number and fields of each."""
    said = [(row.context.epoch, row.seq, {"t": row.t, **msgpack.unpackb(row.body)}) for row in rows]
    os.write(terminal, json.dumps([stream, said], sort_keys=True).encode() + b"\n")


def _terminal(name: str) -> int:
    terminal = os.open(name, os.O_WRONLY | os.O_NOCTTY)
    tty.setraw(terminal)
    return terminal


async def city(master: int, ports: int) -> None:
    """The sensor and the broker."""
    received = _terminal("/dev/tty2")

    def answer(session: Session, publish: Publish) -> int:
        if publish.leaf.startswith(("telemetry/", "event/")):
            batch = publish.batch
            said = [(batch.epoch, batch.seq + at, row) for at, row in enumerate(batch.rows)]
            os.write(received, json.dumps([publish.leaf, said], sort_keys=True).encode() + b"\n")
        return 0

    first = int(os.environ["GARDU_FIRST"])
    async with ScriptedBroker(answer=answer) as broker:
        os.write(ports, f"{broker.port}\n".encode())
        for number in range(first, first + (_ROWS_OF_A_DRAIN if _DRAINS else 1_000_000)):
            os.write(master, f"n{number}\n".encode())
            await asyncio.sleep(_EVERY_S)
        await asyncio.sleep(60)


def run() -> None:
    """Be the gateway."""
    with socket.socket() as any_socket:
        ioctl(any_socket, _SIOCSIFFLAGS, _UP.ljust(40, b"\0"))
    master, slave = os.openpty()
    tty.setraw(slave)
    reader, writer = os.pipe()
    if os.fork() == 0:
        asyncio.run(city(master, writer))
        os._exit(0)
    port = os.read(reader, 16).decode().strip()
    sensors = [
        sensor("lines-1", "serial_line", os.ttyname(slave), _LINES),
        sensor("load", "system", more="interval_s = 0.5"),
    ]
    text = configuration(f"mqtt://127.0.0.1:{port}", sensors, "max_delay_s = 0.1", commit_s=0.1)
    file = Path("/run/gardu.toml")
    file.write_text(text)
    store_module.Backend = TellingBackend  # type: ignore[misc]
    sys.argv = ["gardu", "run", "--config", str(file), "--state", "/mnt/state"]
    main()


if __name__ == "__main__":
    _accepted = _terminal("/dev/tty1")
    run()
