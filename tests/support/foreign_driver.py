"""A driver of another distribution, installed beside the agent as pip would leave it."""

from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
_HEAD = """\
import time
from drivers.sdk.contract import Field, LineSettings, Measurement, PollDriver, Rejected, SerialDriver

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
