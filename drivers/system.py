"""The gateway itself: its temperature, load, memory, disk, power supply and clock.

The reader collects text, one ``name=content`` per line, ``end`` last; the decoder does no I/O. Source: Linux proc(5)
(loadavg, meminfo, uptime), sysfs thermal and hwmon documentation; Raspberry Pi documentation, ``vcgencmd
get_throttled``: bits 0 to 3 now, bits 16 to 19 since boot.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from drivers.sdk.contract import (
    Decoder,
    Field,
    Item,
    Measurement,
    Option,
    Options,
    Page,
    PollDriver,
    Reader,
    Value,
)
from drivers.sdk.framing import FrameError, LineDecoder

_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
_VOLTAGE_MONITORS = Path("/sys/class/hwmon")
_CLOCK_DIR = Path("/run/systemd/timesync")
_TIMEOUT_S = 2.0
_END = "end"


class SystemReader:
    """Collects the raw text of one measurement; values that this computer lacks are omitted."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._vcgencmd = shutil.which("vcgencmd")

    def read(self) -> bytes:
        lines = [
            f"temp={_content(_TEMPERATURE)}",
            f"load={_content(Path('/proc/loadavg'))}",
            f"uptime={_content(Path('/proc/uptime'))}",
            f"mem={_available_memory()}",
            f"disk={self._free_disk()}",
            f"clock={_clock()}",
            self._throttled(),
        ]
        available = [line for line in lines if line and not line.endswith("=")]
        if not available:
            raise OSError("cannot read /proc, /sys or the disk")
        return "\n".join([*available, _END, ""]).encode()

    def close(self) -> None:
        """Nothing to close."""

    def _free_disk(self) -> str:
        try:
            disk = os.statvfs(self._path)
        except OSError:
            return ""
        return str(disk.f_bavail * disk.f_frsize)

    def _throttled(self) -> str:
        if self._vcgencmd is None:
            return f"undervoltage={_voltage_alarm()}"
        import subprocess

        try:
            answer = subprocess.run(
                [self._vcgencmd, "get_throttled"], capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return answer.stdout.decode("latin-1").strip()


def _content(path: Path) -> str:
    try:
        return path.read_text("latin-1").strip()
    except OSError:
        return ""


def _available_memory() -> str:
    for line in _content(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return line.partition(":")[2].strip()
    return ""


def _voltage_alarm() -> str:
    """Return the under-voltage alarm of a Raspberry Pi's own monitor, if the kernel exposes it."""
    for monitor in _VOLTAGE_MONITORS.glob("hwmon*"):
        if _content(monitor / "name") == "rpi_volt":
            return _content(monitor / "in0_lcrit_alarm")
    return ""


def _clock() -> str:
    """Return 2 if systemd's time service has set the clock, 1 if it is running but has not; empty if unknown."""
    if not _CLOCK_DIR.is_dir():
        return ""
    return "2" if (_CLOCK_DIR / "synchronized").exists() else "1"


def _temperature(text: str) -> dict[str, Value]:
    return {"cpu_temp": int(text) / 1000}


def _throttled_bits(text: str) -> dict[str, Value]:
    bits = int(text, 16)
    return {
        "undervoltage": bool(bits & 1),
        "throttled": bool(bits & 4),
        "undervoltage_since_boot": bool(bits & 1 << 16),
        "throttled_since_boot": bool(bits & 4 << 16),
    }


_PARSERS: dict[str, Callable[[str], dict[str, Value]]] = {
    "temp": _temperature,
    "load": lambda text: {"load": float(text.split()[0])},
    "uptime": lambda text: {"uptime": float(text.split()[0])},
    "mem": lambda text: {"mem_free": int(text.split()[0]) * 1024},
    "disk": lambda text: {"disk_free": int(text)},
    "clock": lambda text: {"clock": int(text)},
    "throttled": _throttled_bits,
    "undervoltage": lambda text: {"undervoltage": text == "1"},
}


class SystemDecoder:
    """Collects the lines of one answer, up to its end, into one measurement."""

    def __init__(self) -> None:
        self.skipped = 0
        self._lines = LineDecoder(self._handle_line)
        self._values: dict[str, Value] = {}
        self._used = 0

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        items = self._lines.feed(chunk, at_s)
        self.skipped = self._lines.skipped - self._used
        return items

    def finish(self, at_s: float) -> list[Item]:
        items = self._lines.finish(at_s)
        self.skipped = self._lines.skipped - self._used
        if self._values:
            items.append(self._flush())
        return items

    def _handle_line(self, line: str, at_s: float) -> Measurement | None:
        name, _, text = line.strip().partition("=")
        if name == _END and self._values:
            return self._flush()
        if name in _PARSERS:
            try:
                self._values.update(_PARSERS[name](text))
            except (ValueError, IndexError) as error:
                raise FrameError("format") from error
            self._used += len(line)
        return None

    def _flush(self) -> Measurement:
        values, self._values = self._values, {}
        return Measurement(values)


def _decoder(options: Options) -> Decoder:
    return SystemDecoder()


def _reader(options: Options) -> Reader:
    return SystemReader(str(options.get("path") or os.environ.get("STATE_DIRECTORY") or "/"))


DRIVER = PollDriver(
    name="system",
    title="The gateway itself: temperature, load, memory, disk, power supply, clock",
    source="Linux proc(5), sysfs; Raspberry Pi documentation, vcgencmd get_throttled",
    fields={
        "cpu_temp": Field("Cel", resolution=0.1, min=-40, max=150),
        "load": Field("", resolution=0.01, min=0),
        "mem_free": Field("B", resolution=1, min=0),
        "disk_free": Field("B", resolution=1, min=0),
        "uptime": Field("s", "counter", resolution=1, min=0),
        "undervoltage": Field("", "state"),
        "throttled": Field("", "state"),
        "undervoltage_since_boot": Field("", "state"),
        "throttled_since_boot": Field("", "state"),
        "clock": Field("", "state", min=0, max=3),
    },
    period_s=60.0,
    decoder=_decoder,
    reader=_reader,
    options={"path": Option("str", "", "a path on the disk to report; empty: the state directory")},
    page=Page(
        about="Reads /proc, /sys and, on a Raspberry Pi, vcgencmd. Values that are unavailable are omitted.",
        wiring="None.",
        pitfalls=(
            "undervoltage: the power supply or its cable is too weak; check this first when readings are odd.",
            "vcgencmd needs membership in the group video.",
        ),
        example='[[sensor]]\nid = "gateway"\ndriver = "system"\ninterval_s = 60\n',
    ),
)
