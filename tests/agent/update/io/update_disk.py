"""A disk in memory that fails where a test wants it, and the steps of an update on it."""

import errno
from collections.abc import Callable

from agent.config.generation import Cause, Generation
from agent.update.io.update_dir import UpdateDir
from agent.update.signed.trust import Floor, Followed, encode_root
from agent.update.state import UpdateState
from tests.agent.update.signing_fakes import root

ONE = Generation("one = 1")
TWO = Generation("one = 1", "", '{"version": 2}')
THREE = Generation("three = 3")
CAUSE = Cause("silent", "sensor air-1 stays silent", "sensor.air-1")
ROOT = root(4)


class PowerCut(BaseException):
    """The process is gone; no code of ours sees it."""


class Disk:
    """Files in memory, on which one operation fails. ``fails``: what becomes of it, and of the file."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        self.contents = contents if contents is not None else {}
        self.fail_at = -1
        self.fails = ""
        self.operations = 0
        self.writes = 0

    def read(self, name: str) -> bytes:
        return self.contents.get(name, b"")

    def write(self, name: str, content: bytes) -> None:
        self.writes += 1
        self._change(name, content)

    def remove(self, name: str) -> None:
        self._change(name, b"")

    def names(self) -> list[str]:
        return list(self.contents)

    def _change(self, name: str, content: bytes) -> None:
        self.operations += 1
        failing = self.operations - 1 == self.fail_at
        if not failing or self.fails.endswith("after it"):
            self.contents[name] = content
        elif self.fails == "a cut in it":
            self.contents[name] = content[: len(content) // 2]
        elif self.fails == "a cut that empties it":
            self.contents[name] = b""
        if failing and self.fails.startswith("a cut"):
            raise PowerCut
        if failing:
            raise OSError(errno.ENOSPC, "No space left on device")


CUTS = ("a cut before it", "a cut in it", "a cut that empties it", "a cut after it")
ERRORS = ("an error before it", "an error after it")

Step = Callable[[UpdateDir], None]
STEPS: list[tuple[str, Step]] = [
    ("adopt", lambda files: files.adopt(ONE)),
    ("trust", lambda files: files.keep_trust(Followed(ROOT, encode_root(ROOT), Floor(4, 1, 9)), "origin")),
    ("stage", lambda files: files.stage(TWO, "hash-2", "message-2", files.state.mark.raised(2, "hash-2", 10))),
    ("apply", lambda files: files.applying()),
    ("try", lambda files: files.probation()),
    ("apply again", lambda files: files.applying()),
    ("confirm", lambda files: files.confirm()),
    ("stage another", lambda files: files.stage(THREE)),
    ("apply another", lambda files: files.applying()),
    ("try another", lambda files: files.probation()),
    ("roll back", lambda files: files.roll_back(CAUSE)),
]


def states() -> list[UpdateState]:
    """The state before the first step, and after each."""
    files = UpdateDir(Disk())
    states = [files.state]
    for _, step in STEPS:
        step(files)
        states.append(files.state)
    return states


STATES = states()


def begin(at: int) -> Disk:
    """A disk on which the steps before ``at`` have been done."""
    disk = Disk()
    files = UpdateDir(disk)
    for _, step in STEPS[:at]:
        step(files)
    return disk
