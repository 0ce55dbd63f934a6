"""Recognises which signed configurations come from the maintainers: by the keys given, or by a trust file."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from agent.base.i18n import _
from agent.fleet.rollout import Recognise
from agent.update.signed.dsse import Envelope, Role, signature_checks


def add_trust_option(parser: ArgumentParser) -> None:
    """Add the option ``--trust``."""
    trust = _("recognise earlier signatures by the keys in this trust file, not only by those of --key")
    parser.add_argument("--trust", metavar="FILE", type=Path, default=None, help=trust)


def recogniser(keys: Sequence[bytes], trust: Path | None) -> tuple[Recognise, int]:
    """Return a function that recognises envelopes, and the version above which gateways accept configurations (0: any).

    Without a trust file, one signature by one of ``keys`` is enough; with one, the threshold of its role config counts.
    Raises :class:`~agent.cli.shared.maintainer_files.CommandFailed` and :class:`OSError`.
    """
    role, floor = Role(tuple(keys), 1), 0
    if trust is not None:
        from agent.cli.trust.file import TrustFile

        file = TrustFile.load(trust)
        complete = [root for root in file.roots if root is not file.pending]
        if complete:
            role = complete[-1].roles["config"]
            floor = max((root.floor for root in complete if root.floor is not None), default=0)

    def recognise(envelope: Envelope) -> bool:
        from agent.update.io.ed25519_check import verify

        checks = signature_checks(envelope, role)
        signers = {check.key for check, good in zip(checks, verify(checks), strict=True) if good}
        return len(signers) >= role.threshold

    return recognise, floor
