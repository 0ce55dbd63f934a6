"""Whom this gateway trusts: the technician's first root, the ones that followed, and what their keys have signed."""

import logging
from typing import TYPE_CHECKING, TypeVar

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.io.log_rate_limit import LogRateLimit
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Clock, seconds

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.update.io.signatures import Verify
    from agent.update.signed.dsse import VerificationSteps

T = TypeVar("T")
_log = logging.getLogger(__name__)


class TrustStore:
    """``verify``: what verifies signatures; made when it is needed, where none is given."""

    def __init__(self, store: UpdateStore, clock: Clock, verify: "Verify | None" = None) -> None:
        self._store = store
        self._clock = clock
        self._budget = LogRateLimit()
        self._verify = verify

    async def answered(self, decision: "VerificationSteps[T]") -> T:
        """Run a decision to its end, its signatures verified. Raises :class:`RejectedError`."""
        from agent.update.io.signatures import Verifier, answered

        if self._verify is None:
            self._verify = Verifier()
        return await answered(decision, self._verify)

    async def open_command(self, raw: bytes) -> bytes:
        """What the envelope of a command holds, once enough keys of the role have signed it. Raises
        :class:`RejectedError`."""
        from agent.update.signed.dsse import COMMAND_TYPE, authenticated, parse

        if self._store.trust is None:
            raise RejectedError(Rejection.NO_TRUST, _("this gateway trusts no key yet: install trust.json"))
        return await self.answered(authenticated(parse(raw), self._store.trust.roles["command"], COMMAND_TYPE))

    async def install(self, raw: bytes) -> None:
        """The technician's ``trust.json``, where it is another one than before. Raises :class:`RejectedError`."""
        from agent.update.signed.trust import first, leads_to, parse_chain, read_root

        chain = parse_chain(raw)
        origin = read_root(chain[0].payload).fingerprint
        if origin == self._store.state.origin and self._store.trust is not None:
            return
        if self._store.trust_lost:
            line = _("no copy of the trust root can be read; using {file} again").format(file="trust.json")
            _log.error(line, extra=log_extra(LogCode.TRUST_LOST))
        elif self._store.lost and self._store.trust is not None and leads_to(chain, self._store.trust):
            # Which file was installed was forgotten; the root that was reached was not.
            await self._store.keep_origin(origin)
            await self.follow(raw)
            return
        followed = await self.answered(first(raw))
        await self._store.keep_trust(followed, origin)

    async def follow(self, raw: bytes) -> bool:
        """Follow ``config/trust`` as far as it is good; whether that led on. Raises :class:`RejectedError` where this
        gateway failed, and not the message: look at it again."""
        if self._store.trust is None:
            return False
        from agent.update.signed.trust import follow

        reached = self._store.trust.version
        try:
            followed = await self.answered(follow(raw, self._store.trust))
            if followed.payload is not None:
                await self._store.keep_trust(followed)
            if followed.refused is not None:
                raise followed.refused
        except RejectedError as error:
            allowed, kept_back = self._budget.allows("trust", seconds(self._clock))
            if allowed:
                line = _("cannot use {file}: {error}").format(file="config/trust", error=error)
                if kept_back:
                    line += " " + _("({count} more refusals were not logged)").format(count=kept_back)
                _log.warning(line, extra=log_extra(error.code))
            if error.transient:
                raise
        return self._store.trust.version != reached
