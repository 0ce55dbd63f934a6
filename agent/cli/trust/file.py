"""A trust file as maintainers work on it: complete roots, and perhaps one at the end that still lacks signatures."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.maintainer_files import CommandFailed, private_keys, read
from agent.update.io.ed25519_check import verify
from agent.update.io.signatures import run_verification
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import TRUST_TYPE, Role, SignatureCheck, signature_checks
from agent.update.signed.trust import Root, adopt, encode_chain, encode_root, parse_chain, parse_root

Entry = Mapping[str, object]
_LACKING = ("unsigned", "wrong_key", "same_key", "threshold")


class TrustFile:
    """``entries``: the envelopes, oldest first. Raises :class:`CommandFailed` where anything before the last one is
    wrong."""

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self._path = path
        self._entries = tuple(entries)
        self.roots = tuple(parse_root(dsse.from_json(entry).payload) for entry in entries)
        self.pending = self.roots[-1] if entries and self._lacks_signatures() else None
        """The last root, while it lacks signatures."""

    @classmethod
    def load(cls, path: Path) -> "TrustFile":
        """Read and verify a file. Raises :class:`CommandFailed` and :class:`OSError`."""
        raw = read(path)
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
        """The version of the root into which a change goes."""
        return self.last.version if self.pending else self.last.version + 1

    @property
    def pending_floor(self) -> int | None:
        """The floor of the root into which a change goes."""
        return self.pending.floor if self.pending else None

    def encoded(self) -> bytes:
        """As it stands in the file."""
        return encode_chain(self._entries)

    def with_pending(self, root: Root) -> "TrustFile":
        """With a new last root, in place of one that was not complete."""
        kept = self._entries[:-1] if self.pending else self._entries
        return TrustFile(self._path, (*kept, dsse.to_json(TRUST_TYPE, encode_root(root), {})))

    def signed_by(self, keys: Sequence[Path]) -> "TrustFile":
        """With the signatures of these keys under the last root. Raises :class:`CommandFailed` for a key that is not
        asked."""
        if not keys:
            return self
        asked = [key for root in self._demanding() for key in root.roles["root"].keys]
        message = dsse.from_json(self._entries[-1]).signed
        signatures = {}
        for path, pair in zip(keys, private_keys(keys), strict=True):
            if pair.public not in asked:
                raise CommandFailed(
                    _("{file} is not a key of the role root, before or after the change").format(file=path)
                )
            signatures[pair.public] = pair.sign(message)
        return TrustFile(self._path, (*self._entries[:-1], dsse.countersign(self._entries[-1], signatures)))

    def signers(self) -> Iterator[tuple[Root, int]]:
        """The roots whose keys have to sign the last one, each with how many did."""
        last = dsse.from_json(self._entries[-1])
        for root in self._demanding():
            asked = signature_checks(last, Role(root.roles["root"].keys, 1))
            yield root, len({check.key for check, good in zip(asked, verify(asked), strict=True) if good})

    def _demanding(self) -> tuple[Root, ...]:
        return self.roots[-2:]

    def _lacks_signatures(self) -> bool:
        try:
            followed = asyncio.run(run_verification(adopt(self.encoded()), _verified_here))
            refused = followed.rejected
            at_the_end = followed.root.version + 1 == self.last.version
        except RejectedError as error:
            refused, at_the_end = error, len(self._entries) == 1
        if refused is None:
            return False
        if refused.code in _LACKING and at_the_end:
            return True
        raise CommandFailed(_("{file}: {why}").format(file=self._path, why=refused))


async def _verified_here(asked: Sequence[SignatureCheck]) -> Sequence[bool]:
    """Without a process of its own: a command ends soon."""
    return list(verify(asked))
