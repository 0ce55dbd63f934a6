"""A maintainer's folder for a change of many gateways."""

from pathlib import Path

from tests.support.agent_process import gardu
from tests.support.maintainer import Maintainer

NAMES = ("pos-1", "pos-2", "pos-3")
TEMPLATE = """\
[broker]
url = "${broker}"
[publish]
max_delay_s = 0.2
[[sensor]]
id = "air-a"
driver = "sds011"
port = "${port}"
interval_s = ${interval}
"""


class Desk:
    """A maintainer's folder: template, table and rings."""

    def __init__(self, folder: Path, broker: tuple[str, ...]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.maintainer = Maintainer(folder / "keys")
        self.key = str(folder / "keys" / "config.key")
        self._broker = broker
        (folder / "template.toml").write_text(TEMPLATE)

    def rings(self, *rings: tuple[str, ...]) -> None:
        for number, ring in enumerate(rings):
            (self.folder / f"ring-{number}.txt").write_text("\n".join(ring))

    def table(self, rows: list[dict[str, object]]) -> None:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (self.folder / "table.csv").write_text("\n".join(lines))

    async def push(self, *more: str, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Push to ``ring-0.txt``, then to the others."""
        first, *others = sorted(str(one) for one in self.folder.glob("ring-*.txt"))
        then = [word for one in others for word in ("--then", one)]
        words = ("--ring", first, *then, str(self.folder / "template.toml"), str(self.folder / "table.csv"))
        return await gardu("fleet", "push", *words, "--key", self.key, *self._broker, *more, timeout_s=timeout_s)

    async def status(self, *more: str) -> tuple[int, str, str]:
        return await gardu("fleet", "status", *self._broker, *more)


def rows(**changes: object) -> list[dict[str, object]]:
    """A row for each gateway; the changes are for the second."""
    plain = {"broker": "mqtt://broker.example", "port": "/dev/a", "interval": 2}
    return [{"gateway": name, **plain, **(changes if name == NAMES[1] else {})} for name in NAMES]
