"""The files of an update, outside the store: whole whenever the power is cut, one durable step at a time.

``state.0`` and ``state.1`` hold the same :class:`~agent.update.state.UpdateState`, the high-water mark in it;
``trust.0`` and ``trust.1`` the root that was reached. Each copy has a number and a checksum, and the one that is behind
is written first: a write that is torn, or a card that later loses one, leaves the other. A generation is a file of its
own, written before the state names it and removed after the state has forgotten it.
"""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.base.errors import RejectedError
from agent.base.io.atomic_files import AtomicDirectory, Files, MirroredFile, sealed, unsealed
from agent.config.generation import Cause, Generation
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState, decoded, encoded

__all__ = ["AtomicDirectory", "UpdateDir"]

if TYPE_CHECKING:
    from agent.update.signed.trust import Followed, Root

_GENERATION = "generation-"


class UpdateDir:
    """The durable side of updates. Reads on construction; each method below that changes something is one step, whole
    or not at all. When one raises :class:`OSError`, the disk has it or not. :meth:`adopt`, :meth:`stage` and
    :meth:`keep_trust` have not happened then; the others have, for this process: ``unwritten`` says that the disk may
    not know, and :meth:`settle` tells it again. Were it lost, a candidate would only be tried once more."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._states = MirroredFile(files, "state")
        self._roots = MirroredFile(files, "trust")
        self.unwritten = False
        self.lost = False
        """Whether the state was there and could not be read: the mark is then what the other files prove. Nobody knows
        what was rolled back, and which trust file was installed."""
        self.trust = self._read_trust()
        self.state = self._read_state()
        self._sweep()

    def good(self) -> Generation | None:
        """The last good configuration, or the one before it where that file is broken."""
        return self._generation(self.state.good) or self._generation(self.state.before)

    def goods(self) -> list[Generation]:
        """The same, and the one before it: those whose files are whole."""
        found = [self._generation(name) for name in (self.state.good, self.state.before)]
        return [generation for generation in found if generation is not None]

    def candidate(self) -> Generation | None:
        """The candidate, where one is under way and its file is whole."""
        return self._generation(self.state.candidate) if self.state.under_way else None

    def adopt(self, generation: Generation) -> None:
        """Count a configuration as good without a trial: the first one."""
        self._keep(generation)
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

    def set_down(self, spent_s: float = 0.0) -> None:
        """The agent is stopped in good order, after so long on trial."""
        self._go_on(self.state.set_down(spent_s))

    def keep_origin(self, origin: str) -> None:
        """Note which trust file the kept root comes from."""
        self._step(replace(self.state, origin=origin))

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

    @property
    def trust_lost(self) -> bool:
        """Whether there was a root, and no copy of it can be read."""
        return self.trust is None and (self._roots.lost or bool(self.state.origin))

    def prove(self, mark: Mark | None) -> bool:
        """Take a mark that was remembered at another place, where it is higher; whether it is."""
        proven = self.state.mark.proven(mark)
        if proven == self.state.mark:
            return False
        self.state, self.unwritten = replace(self.state, mark=proven), True
        return True

    def _read_state(self) -> UpdateState:
        raw = self._states.read()
        try:
            if raw is not None:
                return decoded(raw)
        except ValueError:
            self._states.lost = True
        generations = [found for name in self._files.names() if (found := self._kept(name))]
        # One copy alone, or a generation without a payload, are of a first start that was cut off.
        self.lost = self._states.lost or (self._states.absent and any(one.payload for one in generations))
        state = self._recovered(generations) if self.lost else UpdateState()
        self.unwritten = state != UpdateState()
        return state

    def _recovered(self, generations: list[Generation]) -> UpdateState:
        """The state that the generations prove: the newest one is tried again, where there is one to go back to."""
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
        found.sort(key=lambda one: one[0].version)
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
        from agent.update.signed.trust import read_root

        try:
            return read_root(raw)
        except RejectedError:
            return None

    def _generation(self, name: str) -> Generation | None:
        return self._kept(_GENERATION + name) if name else None

    def _kept(self, file: str) -> Generation | None:
        """The generation in a file, where it is one, and whole."""
        if not file.startswith(_GENERATION):
            return None
        _, content = unsealed(self._files.read(file))
        try:
            return None if content is None else Generation.decoded(content)
        except (ValueError, RecursionError):
            return None

    def _keep(self, generation: Generation) -> None:
        self._files.write(_GENERATION + generation.name, sealed(generation.encoded(), 0))

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
