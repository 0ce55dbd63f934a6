"""A gateway on user-mode Linux, with ext4 on a disk of its own, whose plug is pulled: what it said each time.

Killing the kernel's process is the power cut: what the kernel had not written to its disk is gone. The kernel is
Debian's package user-mode-linux, which needs no building.
"""

import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.agent_process import ROOT

KERNEL = "linux.uml"
SENSOR = "telemetry/lines-1"
"""The stream of the sensor, which sends each number once."""
_INIT = ROOT / "tests/hosts/kernel/power_init"
_DISK_BYTES = 64 << 20
_BOOT_S = 60.0
_NUMBERS = 1_000_000

Key = tuple[str, str, int]
"""Stream, epoch, number."""


@dataclass
class PowerAccount:
    """What was accepted and received, over all boots. ``faults``: what cannot be."""

    accepted: dict[Key, Any] = field(default_factory=dict)
    received: dict[Key, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, received: bool, text: bytes) -> None:
        """Add what came out of the gateway; a last line without an end was cut off."""
        for line in text.split(b"\n")[:-1]:
            stream, rows = json.loads(line)
            for epoch, number, fields in rows:
                key = (stream, epoch, number)
                known = self.accepted.get(key, self.received.get(key, fields))
                if known != fields:
                    self.faults.append(f"twice: {key} was {known}, is {fields}")
                (self.received if received else self.accepted)[key] = fields

    def lost(self) -> list[Key]:
        """Accepted and never received. What the last run accepted beside the sensor's numbers, such as its own end, may
        wait for the next one."""
        last = [*self.accepted][-1][1]
        missing = [key for key in self.accepted if key not in self.received]
        return [key for key in missing if key[0] == SENSOR or key[1] != last]

    def repeated(self) -> list[str]:
        """Numbers of the sensor that arrived under two keys."""
        seen: dict[float, Key] = {}
        found = []
        for key, fields in self.received.items():
            if key[0] == SENSOR and seen.setdefault(fields["n"], key) != key:
                found.append(f"{fields['n']:.0f}: {seen[fields['n']]} and {key}")
        return found


class PoweredGateway:
    """The gateway, and its disk in ``folder``."""

    def __init__(self, folder: Path, seed: int, synchronous: str = "") -> None:
        self.account = PowerAccount()
        self.boots = 0
        self._folder = folder
        self._disk = folder / "disk.img"
        self._dice = random.Random(seed)
        self._synchronous = synchronous
        with self._disk.open("wb") as disk:
            disk.truncate(_DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._disk)], check=True)

    def cut(self) -> None:
        """Boot, and pull the plug at a random moment after the first commit."""
        self._boot(self._dice.uniform(0.0, 0.8))

    def drain(self) -> None:
        """Boot, let everything be delivered, and stop."""
        self._boot(None, "GARDU_DRAIN=1")

    def _boot(self, cut_after_s: float | None, *more: str) -> None:
        self.boots += 1
        ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
        accepted, received, log = theirs
        kernel = shutil.which(KERNEL)
        assert kernel is not None
        words = [
            kernel,
            "mem=192M",
            f"uml_dir={self._folder}",
            "quiet",
            "root=/dev/root",
            "rootfstype=hostfs",
            "ro",
            f"init={_INIT}",
            f"ubda={self._disk}",
            "con=null",
            "con0=null,null",
            f"con1=null,fd:{accepted}",
            f"con2=null,fd:{received}",
            f"con3=null,fd:{log}",
            f"GARDU_ROOT={ROOT}",
            f"GARDU_PYTHON={sys.executable}",
            f"GARDU_FIRST={self.boots * _NUMBERS}",
            f"GARDU_SYNCHRONOUS={self._synchronous}",
            *more,
        ]
        machine = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=theirs,
            env={**os.environ, "TMPDIR": str(self._folder)},
            start_new_session=True,
        )
        for descriptor in theirs:
            os.close(descriptor)
        try:
            texts = self._listen(machine, ours, cut_after_s)
        finally:
            _kill(machine)
            for descriptor in ours:
                os.close(descriptor)
        assert texts[0], f"boot {self.boots}: nothing was accepted: {texts[2].decode(errors='replace')}"
        self.account.add(received=False, text=texts[0])
        self.account.add(received=True, text=texts[1])

    @staticmethod
    def _listen(machine: "subprocess.Popen[bytes]", ours: tuple[int, ...], cut_after_s: float | None) -> list[bytes]:
        """Collect what it says until it has ended; cut its power in between."""
        texts = [b"", b"", b""]
        end_s = time.monotonic() + _BOOT_S
        is_cut = cut_after_s is None
        with selectors.DefaultSelector() as selector:
            for at, descriptor in enumerate(ours):
                selector.register(descriptor, selectors.EVENT_READ, at)
            while selector.get_map():
                if time.monotonic() > end_s:
                    _kill(machine)
                for key, _ in selector.select(0.05):
                    said = os.read(key.fd, 1 << 16)
                    texts[key.data] += said
                    if not said:
                        selector.unregister(key.fd)
                if texts[0] and not is_cut:
                    assert cut_after_s is not None
                    is_cut, end_s = True, time.monotonic() + cut_after_s
        return texts


def _kill(machine: "subprocess.Popen[bytes]") -> None:
    if machine.poll() is None:
        os.killpg(machine.pid, signal.SIGKILL)
        machine.wait()
