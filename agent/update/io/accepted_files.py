"""What an agent's state directory says about the gateway's files, for somebody beside the agent. Changes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.base.errors import RejectedError
from agent.config.generation import Generation
from agent.update.io.update_dir import UpdateDir

Use = Literal["running", "on_trial", "not_loaded", "rolled_back"]


@dataclass(frozen=True, slots=True)
class AcceptedFiles:
    """``use``: what became of the files. ``version``: of the city's configuration that is accepted, 0 where there is
    none. ``cause``: why the last configuration was rolled back, empty where none was."""

    use: Use
    version: int
    cause: str = ""


def accepted_files(state_dir: Path, base: str, overlay: str) -> AcceptedFiles | None:
    """Compare ``gardu.toml`` and ``local.toml`` with what the agent has accepted. Return ``None`` where it has accepted
    nothing yet. Raises :class:`OSError` where the directory cannot be read."""
    update_dir = UpdateDir(_ReadOnly(state_dir / "config"))
    state, good = update_dir.state, update_dir.good()
    if good is None:
        return None
    candidate = update_dir.candidate()
    names = {Generation(base, overlay, one.payload).name for one in (good, candidate) if one is not None}
    use: Use = "not_loaded"
    if state.good in names:
        use = "running"
    elif state.candidate in names and state.under_way:
        use = "on_trial"
    elif names & set(state.bad):
        use = "rolled_back"
    return AcceptedFiles(use, _version(good), state.cause.message if state.cause is not None else "")


def _version(generation: Generation) -> int:
    if generation.payload is None:
        return 0
    from agent.config.document import parse_document

    try:
        return parse_document(generation.payload.encode()).version
    except RejectedError:
        return 0


class _ReadOnly:
    """The files of a directory that belongs to the agent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = [file.name for file in path.iterdir()] if path.is_dir() else []

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes() if name in self._names else b""

    def write(self, name: str, content: bytes) -> None:
        """It is the agent's to write."""

    def remove(self, name: str) -> None:
        """It is the agent's to remove."""

    def names(self) -> list[str]:
        return self._names
