"""The files of an update, kept outside the store: one durable step at a time, intact after a power cut at any moment.

``state.0`` and ``state.1`` both contain the :class:`~agent.update.state.UpdateState` with its high-water mark;
``trust.0`` and ``trust.1`` both contain the trusted root. Each copy has a number and a checksum, and the older copy is
written first: after a torn write, or if the card later loses a copy, the other one remains. Each generation is a file
of its own, written before the state names it and removed after the state no longer does.
"""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.base.errors import RejectedError
from agent.base.io.atomic_files import AtomicDirectory, Files, MirroredFile, sealed, unsealed
from agent.config.generation import Cause, Generation
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState, decode, encode

__all__ = ["AtomicDirectory", "UpdateDir"]

if TYPE_CHECKING:
    from agent.update.signed.trust import Followed, Root

_GENERATION = "generation-"


class UpdateDir:
    """The durable state of updates, loaded on construction.

    Each method that changes something is one atomic step. If it raises :class:`OSError`, the disk may or may not have
    it. :meth:`adopt`, :meth:`stage` and :meth:`keep_trust` then have no effect. The other steps do, for this process:
    ``unwritten`` is set and :meth:`settle` writes them again. If such a step is lost, a candidate is only tried again.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._states = MirroredFile(files, "state")
        self._roots = MirroredFile(files, "trust")
        self.unwritten = False
        self.lost = False
        """Whether the state existed but could not be read. The mark is then rebuilt from the other files; what was
        rolled back, and which trust file was installed, is unknown."""
        self.trust = self._read_trust()
        self.state = self._read_state()
        self._sweep()

    def good(self) -> Generation | None:
        """Return the last good configuration, or the one before it if that file is damaged."""
        return self._generation(self.state.good) or self._generation(self.state.before)

    def goods(self) -> list[Generation]:
        """Return the last good configuration and the one before it, without damaged ones."""
        generations = [self._generation(name) for name in (self.state.good, self.state.before)]
        return [generation for generation in generations if generation is not None]

    def candidate(self) -> Generation | None:
        """Return the candidate, if one is under way and its file is intact."""
        return self._generation(self.state.candidate) if self.state.under_way else None

    def adopt(self, generation: Generation) -> None:
        """Adopt a configuration as good without a trial."""
        self._write_generation(generation)
        self._step(self.state.adopted(generation.name))

    def stage(
        self,
        generation: Generation,
        trying: str = "",
        message: str = "",
        mark: Mark | None = None,
        *,
        unproven: bool = False,
    ) -> None:
        """Make it the candidate. For a configuration from outside: ``trying`` is the hash of its payload, ``message``
        the hash of the message, ``mark`` the new high-water mark, and ``unproven`` whether the clock was unset."""
        self._write_generation(generation)
        self._step(self.state.staged(generation.name, trying, message, mark, unproven=unproven))

    def applying(self) -> None:
        """Record that the candidate is being started."""
        self._apply(self.state.applying())

    def probation(self) -> None:
        """Record that the candidate runs."""
        self._apply(self.state.in_probation())

    def confirm(self) -> None:
        """Make the candidate the good configuration."""
        self._apply(self.state.confirmed())

    def roll_back(self, cause: Cause) -> None:
        """Mark the candidate as bad and return to the good configuration."""
        self._apply(self.state.rolled_back(cause))

    def withdraw(self, payload: str, cause: Cause) -> None:
        """Mark the good configuration as bad and return to the one before it. ``payload``: hash of its payload."""
        self._apply(self.state.withdrawn(payload, cause))

    def use_fallback(self, generation: Generation) -> None:
        """Make a fallback the good configuration, because there is none to roll back to."""
        self._write_generation(generation)
        self._apply(self.state.with_fallback(generation.name))

    def expiry_checked(self) -> None:
        """Record that the configuration accepted with an unset clock has not expired."""
        self._apply(self.state.expiry_checked())

    def suspend(self, spent_s: float = 0.0) -> None:
        """Suspend the trial for a clean stop, after ``spent_s`` on trial in this run."""
        self._apply(self.state.suspend(spent_s))

    def keep_origin(self, origin: str) -> None:
        """Record which trust file the stored root comes from."""
        self._step(replace(self.state, origin=origin))

    def settle(self) -> None:
        """Write what could not be written before."""
        if self.unwritten:
            self._write(self.state)

    def keep_trust(self, followed: "Followed", origin: str = "") -> None:
        """Store the newest root. ``origin``: fingerprint of the oldest root of a trust file, if a technician installed
        one. These are several writes; after a power cut between them, the whole step is repeated."""
        mark = self.state.mark
        if origin and origin != self.state.origin:
            mark = replace(mark, root=0)  # a different chain: none of its floors was applied yet
        # Write the floor first: once the new root is stored, its floor is not applied again.
        self._step(replace(self.state, mark=mark.floored(followed.floor)))
        if followed.payload is not None:
            self._roots.write(followed.payload)
            self.trust = followed.root
        self._step(replace(self.state, origin=origin or self.state.origin))

    @property
    def trust_lost(self) -> bool:
        """Whether there was a trusted root, but no copy of it can be read."""
        return self.trust is None and (self._roots.lost or bool(self.state.origin))

    def merge_mark(self, mark: Mark | None) -> bool:
        """Use a copy of the mark that was stored elsewhere if it is higher, and return whether it is."""
        highest = self.state.mark.highest(mark)
        if highest == self.state.mark:
            return False
        self.state, self.unwritten = replace(self.state, mark=highest), True
        return True

    def _read_state(self) -> UpdateState:
        raw = self._states.read()
        try:
            if raw is not None:
                return decode(raw)
        except ValueError:
            self._states.lost = True
        generations = [generation for name in self._files.names() if (generation := self._read_generation(name))]
        # A single copy, or a generation without a payload, comes from an interrupted first start.
        has_payload = any(generation.payload for generation in generations)
        self.lost = self._states.lost or (self._states.absent and has_payload)
        state = self._recovered(generations) if self.lost else UpdateState()
        self.unwritten = state != UpdateState()
        return state

    def _recovered(self, generations: list[Generation]) -> UpdateState:
        """Rebuild the state from the generations. The newest is tried again if there is another to roll back to."""
        from agent.config.document import parse_document

        found: list[tuple[Mark, Generation]] = []
        for generation in generations:
            mark = Mark()
            if generation.payload:
                try:
                    document = parse_document(generation.payload.encode())
                except RejectedError:
                    continue
                mark = mark.raised(document.version, document.hash, document.issued_ms)
            found.append((mark, generation))
        found.sort(key=lambda pair: pair[0].version)
        mark = found[-1][0] if found else Mark()
        if self.trust is not None and self.trust.floor is not None:
            floor = Mark(self.trust.floor, "", self.trust.issued_ms, self.trust.version)
            mark = floor if floor.version > mark.version else replace(mark, root=floor.root)
        names = [generation.name for _, generation in found]
        if len(names) > 1:
            return UpdateState("staged", mark, good=names[-2], candidate=names[-1], trying=found[-1][0].hash)
        return UpdateState("confirmed" if names else "none", mark, good=names[0] if names else "")

    def _read_trust(self) -> "Root | None":
        raw = self._roots.read()
        if raw is None:
            return None
        from agent.update.signed.trust import parse_root

        try:
            return parse_root(raw)
        except RejectedError:
            return None

    def _generation(self, name: str) -> Generation | None:
        return self._read_generation(_GENERATION + name) if name else None

    def _read_generation(self, file: str) -> Generation | None:
        """Return the generation in a file; ``None`` for another file or a damaged one."""
        if not file.startswith(_GENERATION):
            return None
        _, content = unsealed(self._files.read(file))
        try:
            return None if content is None else Generation.decoded(content)
        except (ValueError, RecursionError):
            return None

    def _write_generation(self, generation: Generation) -> None:
        self._files.write(_GENERATION + generation.name, sealed(generation.encoded(), 0))

    def _step(self, state: UpdateState) -> None:
        """Change the state only if it can be written. Raises :class:`OSError`."""
        if state != self.state:
            self._write(state)

    def _apply(self, state: UpdateState) -> None:
        """Change the state even if it cannot be written now. Raises :class:`OSError`."""
        if state != self.state:
            self.state, self.unwritten = state, True
            self.settle()

    def _write(self, state: UpdateState) -> None:
        self._states.write(encode(state))
        self.state, self.unwritten = state, False
        self._sweep()

    def _sweep(self) -> None:
        """Remove generations that the state no longer names."""
        named = {_GENERATION + name for name in (self.state.good, self.state.before, self.state.candidate)}
        with contextlib.suppress(OSError):  # leftover files do no harm
            for name in self._files.names():
                if name.startswith(_GENERATION) and name not in named:
                    self._files.remove(name)
