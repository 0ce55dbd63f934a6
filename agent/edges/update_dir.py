"""The files of an update, outside the store: whole whenever the power is cut, one durable step at a time.

``state.0`` and ``state.1`` hold the same :class:`~agent.core.update_state.UpdateState`, the high-water mark in it;
``trust.0`` and ``trust.1`` the root that was reached. Each copy has a number and a checksum, and the one that is behind
is written first: a write that is torn, or a card that later loses one, leaves the other. A generation is a file of its
own, written before the state names it and removed after the state has forgotten it.
"""

import contextlib
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.core.refusal import Refused
from agent.core.update_state import Cause, Generation, UpdateState, decoded, encoded
from agent.core.version_mark import Mark

if TYPE_CHECKING:
    from agent.core.trust import Followed, Root

_GENERATION = "generation-"


class Files(Protocol):
    """The files of one directory, by name. All methods raise :class:`OSError`."""

    def read(self, name: str) -> bytes:
        """The content; nothing where there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content, durably once this has returned."""

    def remove(self, name: str) -> None:
        """Remove the file, if it is there."""

    def names(self) -> list[str]:
        """All files."""


class Folder:
    """A real directory, for this user alone; made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):  # a disk that takes nothing keeps nobody from starting
            path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read(self, name: str) -> bytes:
        """The content; nothing where there is no such file, or the card does not give it back."""
        try:
            return (self._path / name).read_bytes()
        except OSError:
            return b""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content: after a power cut it is the old or the new one."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path / f"{name}.new"
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path / name)
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def remove(self, name: str) -> None:
        """Remove the file, if it is there."""
        (self._path / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """All files; none where the card does not tell."""
        try:
            return os.listdir(self._path)
        except OSError:
            return []


class Twin:
    """One value in two checksummed copies."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._copies = (f"{name}.0", f"{name}.1")
        self._numbers = [0, 0]
        self.lost = False
        """Whether both copies are there, and none can be read. (One alone that cannot be is a first write, torn.)"""

    def read(self) -> bytes | None:
        """The newest whole copy."""
        newest: bytes | None = None
        for at, name in enumerate(self._copies):
            self._numbers[at], content = _unsealed(self._files.read(name))
            if content is not None and self._numbers[at] == max(self._numbers):
                newest = content
        self.lost = newest is None and set(self._copies) <= set(self._files.names())
        return newest

    def write(self, content: bytes) -> None:
        """Keep a new value; it is durable once the first copy is. Raises :class:`OSError` where it is not."""
        number = max(self._numbers) + 1
        behind = 0 if self._numbers[0] <= self._numbers[1] else 1
        sealed = _sealed(content, number)
        self._files.write(self._copies[behind], sealed)
        self._numbers[behind] = number
        with contextlib.suppress(OSError):  # it stays behind, and is the first one to be written next time
            self._files.write(self._copies[1 - behind], sealed)
            self._numbers[1 - behind] = number


class UpdateDir:
    """The durable side of updates. Reads on construction; each method below that changes something is one step, whole
    or not at all. When one raises :class:`OSError`, the disk has it or not. :meth:`adopt`, :meth:`stage` and
    :meth:`keep_trust` have not happened then; the others have, for this process: ``unwritten`` says that the disk may
    not know, and :meth:`settle` tells it again. Were it lost, a candidate would only be tried once more."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._states = Twin(files, "state")
        self._roots = Twin(files, "trust")
        self.unwritten = False
        self.state = self._read_state()
        self.trust = self._read_trust()
        self._sweep()

    @property
    def lost(self) -> bool:
        """Whether the state was there and cannot be read: the mark is then unknown, and begins anew."""
        return self._states.lost

    def good(self) -> Generation | None:
        """The last good configuration, or the one before it where that file is broken."""
        return self._generation(self.state.good) or self._generation(self.state.before)

    def candidate(self) -> Generation | None:
        """The candidate, where one is under way and its file is whole."""
        return self._generation(self.state.candidate) if self.state.under_way else None

    def adopt(self, generation: Generation) -> None:
        """Count a configuration as good without a trial: the first one."""
        self._keep(generation)
        self._step(self.state.adopted(generation.name))

    def stage(
        self, generation: Generation, trying: str = "", message: str = "", mark: Mark | None = None, *,
        unproven: bool = False,
    ) -> None:  # fmt: skip
        """Make it the candidate. For one that came from outside: ``trying`` is the hash of its payload, ``message``
        that of the message, ``mark`` the mark it raises, and ``unproven`` whether the clock was unset."""
        self._keep(generation)
        self._step(self.state.staged(generation.name, trying, message, mark, unproven=unproven))

    def applying(self) -> None:
        """The candidate is begun with."""
        self._go_on(self.state.applying())

    def probation(self) -> None:
        """The candidate runs."""
        self._go_on(self.state.in_probation())

    def confirm(self) -> None:
        """The candidate is the good one from now on."""
        self._go_on(self.state.confirmed())

    def roll_back(self, cause: Cause) -> None:
        """The candidate is bad, and the good one counts again."""
        self._go_on(self.state.rolled_back(cause))

    def withdraw(self, payload: str, cause: Cause) -> None:
        """The good one is bad after all, and the one before it counts again. ``payload``: hash of its payload."""
        self._go_on(self.state.withdrawn(payload, cause))

    def stand_in(self, generation: Generation) -> None:
        """There is no good one to go back to: this one is, from now on."""
        self._keep(generation)
        self._go_on(self.state.stood_in(generation.name))

    def proven(self) -> None:
        """What was accepted while the clock was unset has not expired."""
        self._go_on(self.state.proven())

    def set_down(self) -> None:
        """The agent is stopped in good order."""
        self._go_on(self.state.set_down())

    def settle(self) -> None:
        """Write down what the disk did not take before."""
        if self.unwritten:
            self._write(self.state)

    def keep_trust(self, followed: "Followed", origin: str = "") -> None:
        """Keep the root that was reached. ``origin``: the fingerprint of the oldest root of a trust file that the
        technician installed, if this is one. Several writes: after a cut between them it is simply done again."""
        mark = self.state.mark
        if origin and origin != self.state.origin:
            mark = replace(mark, root=0)  # another chain: its floors were not taken yet
        # The floor first: from the new root on, nobody would come past it again.
        self._step(replace(self.state, mark=mark.floored(followed.floor)))
        if followed.payload is not None:
            self._roots.write(followed.payload)
            self.trust = followed.root
        self._step(replace(self.state, origin=origin or self.state.origin))

    def _read_state(self) -> UpdateState:
        raw = self._states.read()
        try:
            return UpdateState() if raw is None else decoded(raw)
        except ValueError:
            self._states.lost = True
            return UpdateState()

    def _read_trust(self) -> "Root | None":
        raw = self._roots.read()
        if raw is None:
            return None
        from agent.core.trust import read_root

        try:
            return read_root(raw)
        except Refused:
            return None

    def _generation(self, name: str) -> Generation | None:
        if not name:
            return None
        _, content = _unsealed(self._files.read(_GENERATION + name))
        try:
            return None if content is None else Generation.decoded(content)
        except ValueError:
            return None

    def _keep(self, generation: Generation) -> None:
        self._files.write(_GENERATION + generation.name, _sealed(generation.encoded(), 0))

    def _step(self, state: UpdateState) -> None:
        if state != self.state:
            self._write(state)

    def _go_on(self, state: UpdateState) -> None:
        if state != self.state:
            self.state, self.unwritten = state, True
            self.settle()

    def _write(self, state: UpdateState) -> None:
        self._states.write(encoded(state))
        self.state, self.unwritten = state, False
        self._sweep()

    def _sweep(self) -> None:
        """Remove the generations that the state does not name."""
        named = {_GENERATION + name for name in (self.state.good, self.state.before, self.state.candidate)}
        with contextlib.suppress(OSError):  # they are in nobody's way
            for name in self._files.names():
                if name.startswith(_GENERATION) and name not in named:
                    self._files.remove(name)


def _sealed(content: bytes, number: int) -> bytes:
    """The content behind a line with a number and the checksum of both."""
    body = b"%d\n%b" % (number, content)
    return hashlib.sha256(body).hexdigest().encode() + b" " + body


def _unsealed(raw: bytes) -> tuple[int, bytes | None]:
    """Number and content, or 0 and ``None`` where they are not whole."""
    checksum, _, body = raw.partition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return 0, None
    number, _, content = body.partition(b"\n")
    return int(number), content
