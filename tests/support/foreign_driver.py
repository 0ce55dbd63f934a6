"""A driver of another distribution, installed beside the agent as pip would leave it."""

from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
_HEAD = """\
import time
from drivers.sdk.bus import I2cDriver, ModbusDriver, ModbusRead, W1Driver
from drivers.sdk.contract import Field, LineSettings, Measurement, PollDriver, Rejected, SerialDriver
from drivers.sdk.gpio import GpioDriver

KEYS = dict(title="a driver of somebody else", source="a test", fields={"n": Field()}, period_s=0.1)
"""


def install(packages: Path, name: str, code: str) -> Path:
    """Install a module with ``code``, which defines ``DRIVER``; what drivers need is imported. Give ``packages``."""
    packages.mkdir(exist_ok=True)
    module = f"gardu_{name}"
    (packages / f"{module}.py").write_text(_HEAD + code)
    about = packages / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(_METADATA.format(name=module))
    (about / "entry_points.txt").write_text(f"[gardu.drivers]\n{name} = {module}:DRIVER\n")
    return packages


def polled(name: str, reading: str) -> str:
    """A driver whose reader does this whenever it is asked."""
    return f"""
import asyncio

class Reader:
    def read(self):
        {reading}
    def close(self):
        pass

class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        return []
    def finish(self, at_s):
        return []

DRIVER = PollDriver(name="{name}", decoder=lambda options: Decoder(), reader=lambda options: Reader(), **KEYS)
"""


BLOCKS_IN_ITS_DECODER = """
class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        while True:
            time.sleep(3600)
    def finish(self, at_s):
        return []

DRIVER = SerialDriver(name="stuck", decoder=lambda options: Decoder(), inline=True, **KEYS)
"""

BLOCKS_IN_ITS_READER = """
class Reader:
    def read(self):
        while True:
            time.sleep(3600)
    def close(self):
        time.sleep(3600)

class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        return []
    def finish(self, at_s):
        return []

DRIVER = PollDriver(name="asleep", decoder=lambda options: Decoder(), reader=lambda options: Reader(), **KEYS)
"""

SPINS = polled("busy", "while True:\n            pass")

RAISES = """
class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        raise KeyError("a mistake of its author")
    def finish(self, at_s):
        return []

DRIVER = SerialDriver(name="faulty", decoder=lambda options: Decoder(), **KEYS)
"""


GIVES_NO_NUMBERS = """
class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        return [Measurement({"n": object()})]
    def finish(self, at_s):
        return []

DRIVER = SerialDriver(name="odd", decoder=lambda options: Decoder(), **KEYS)
"""

GIVES_NO_MEASUREMENTS = """
class Decoder:
    skipped = 0
    def feed(self, chunk, at_s):
        return ["nonsense"]
    def finish(self, at_s):
        return None

DRIVER = SerialDriver(name="nonsense", decoder=lambda options: Decoder(), **KEYS)
"""

_BLOCKS = """
import threading

ENTERED, RELEASE, LEFT = threading.Event(), threading.Event(), threading.Event()

def block():
    ENTERED.set()
    end_s = time.monotonic() + 5.0
    while not RELEASE.is_set() and time.monotonic() < end_s:
        {pause}
    LEFT.set()
    return []

class Device:
    def start(self): pass
    def read(self): return b"1"
    def close(self): pass

class Decoder:
    skipped = done = 0
    def feed(self, chunk, at_s): return block()
    def finish(self, at_s): return []
    def missed(self, at_s): return []

class Edges:
    due_s = None
    def start(self, levels, at_s): return block() if {at_start} else []
    def edges(self, edges): return block()
    def tick(self, at_s): return []
    def sample(self, at_s): return []
    def lost(self, line, count): return []
    def totals(self): return {{}}
    def restore(self, totals): pass

KEYS.update(name="{name}", inline=True)
DECODER = dict(decoder=lambda options: Decoder())
"""

_KINDS = {
    "serial": "SerialDriver(**KEYS, **DECODER)",
    "polled": "PollDriver(**KEYS, **DECODER, reader=lambda options: Device())",
    "i2c": "I2cDriver(**KEYS, **DECODER, open=lambda *place: Device(), address=0x50, addresses=(0x50,))",
    "onewire": "W1Driver(**KEYS, **DECODER, families=('28',))",
    "modbus": "ModbusDriver(**KEYS, **DECODER, reads=(ModbusRead(4, 0, 10),))",
    "gpio": "GpioDriver(**KEYS, edges=lambda options: Edges())",
    "gpio_start": "GpioDriver(**KEYS, edges=lambda options: Edges())",
}
KINDS = tuple(_KINDS)
"""The kinds of drivers whose decoder can block; ``gpio_start``: already when it hears how the lines stand."""


def blocks_in_its_decoder(name: str, kind: str, pause: str) -> str:
    """A driver of this kind that says it may run on the loop, and whose decoder does ``pause`` again and again, until
    the module's event ``RELEASE`` (5 s at most). ``ENTERED`` and ``LEFT`` say how far it is."""
    return _BLOCKS.format(name=name, pause=pause, at_start=kind == "gpio_start") + f"\nDRIVER = {_KINDS[kind]}\n"
