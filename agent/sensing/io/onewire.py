"""1-Wire devices through the kernel's files."""

from pathlib import Path

DEVICES = Path("/sys/bus/w1/devices")


class W1Files:
    """Reads devices by the names of their directories in ``root``. Blocking: a conversion takes a second."""

    def __init__(self, root: Path = DEVICES) -> None:
        self._root = root

    def read(self, name: str) -> bytes:
        """Return the text of ``w1_slave``. Raises :class:`OSError` if the device is disconnected."""
        return (self._root / name / "w1_slave").read_bytes()

    def close(self) -> None:
        """Nothing to close."""
