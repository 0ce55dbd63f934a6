"""A trust file that maintainers work on: complete roots, and possibly a last one that still lacks signatures."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.maintainer_files import CommandFailed, load_private_keys, read_file
from agent.update.io.ed25519_check import verify
from agent.update.io.signatures import run_verification
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import TRUST_TYPE, Role, SignatureCheck, signature_checks
from agent.update.signed.trust import Root, adopt, encode_chain, encode_root, parse_chain, parse_root

Entry = Mapping[str, object]
_LACKING = ("unsigned", "wrong_key", "same_key", "threshold")


class TrustFile:
    """A trust file. ``entries``: the envelopes, oldest first. Raises :class:`CommandFailed` if any root before the last
    one is invalid."""

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self._path = path
        self._entries = tuple(entries)
        self.roots = tuple(parse_root(dsse.from_json(entry).payload) for entry in entries)
        self.pending = self.roots[-1] if entries and self._lacks_signatures() else None
        """The last root, while it lacks signatures."""

    @classmethod
    def load(cls, path: Path) -> "TrustFile":
        """Load and verify a file. Raises :class:`CommandFailed` and :class:`OSError`."""
        raw = read_file(path)
        try:
            parse_chain(raw)
            return cls(path, json.loads(raw))
        except RejectedError as error:
            raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error

    @property
    def last(self) -> Root:
        """The newest root, complete or not."""
        return self.roots[-1]

    @property
    def next_version(self) -> int:
        """The version of the root that a change belongs to."""
        return self.last.version if self.pending else self.last.version + 1

    @property
    def pending_floor(self) -> int | None:
        """The floor of the root that a change belongs to."""
        return self.pending.floor if self.pending else None

    def encoded(self) -> bytes:
        """Return the content of the file."""
        return encode_chain(self._entries)

    def with_pending(self, root: Root) -> "TrustFile":
        """Return the file with a new last root, which replaces an incomplete one."""
        kept = self._entries[:-1] if self.pending else self._entries
        return TrustFile(self._path, (*kept, dsse.to_json(TRUST_TYPE, encode_root(root), {})))

    def signed_by(self, keys: Sequence[Path]) -> "TrustFile":
        """Return the file with signatures of these keys on the last root. Raises :class:`CommandFailed` for a key
        that does not count."""
        if not keys:
            return self
        accepted = [key for root in self._signing_roots() for key in root.roles["root"].keys]
        message = dsse.from_json(self._entries[-1]).signed
        signatures = {}
        for path, pair in zip(keys, load_private_keys(keys), strict=True):
            if pair.public not in accepted:
                raise CommandFailed(
                    _("{file} is not a key of the role root, before or after the change").format(file=path)
                )
            signatures[pair.public] = pair.sign(message)
        return TrustFile(self._path, (*self._entries[:-1], dsse.countersign(self._entries[-1], signatures)))

    def signers(self) -> Iterator[tuple[Root, int]]:
        """Yield the roots whose keys must sign the last one, each with the number of its keys that have signed."""
        last = dsse.from_json(self._entries[-1])
        for root in self._signing_roots():
            checks = signature_checks(last, Role(root.roles["root"].keys, 1))
            yield root, len({check.key for check, good in zip(checks, verify(checks), strict=True) if good})

    def _signing_roots(self) -> tuple[Root, ...]:
        return self.roots[-2:]

    def _lacks_signatures(self) -> bool:
        try:
            followed = asyncio.run(run_verification(adopt(self.encoded()), _verify_here))
            rejected = followed.rejected
            at_the_end = followed.root.version + 1 == self.last.version
        except RejectedError as error:
            rejected, at_the_end = error, len(self._entries) == 1
        if rejected is None:
            return False
        if rejected.code in _LACKING and at_the_end:
            return True
        raise CommandFailed(_("{file}: {why}").format(file=self._path, why=rejected))


async def _verify_here(checks: Sequence[SignatureCheck]) -> Sequence[bool]:
    """Verify in this process: a command exits soon."""
    return list(verify(checks))
