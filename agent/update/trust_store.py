"""The roots that this gateway trusts, and the verification of signatures against them."""

import logging
from typing import TYPE_CHECKING, TypeVar

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.io.log_rate_limit import LogRateLimit
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Clock, seconds

# Import the code for signed documents only when one arrives: most gateways run for months without.
if TYPE_CHECKING:
    from agent.update.io.signatures import Verify
    from agent.update.signed.dsse import VerificationSteps

T = TypeVar("T")
_log = logging.getLogger(__name__)


class TrustStore:
    """Trusts the root that the technician installed and its successors. ``verify``: verifies signatures; by default one
    is created when it is first needed."""

    def __init__(self, store: UpdateStore, clock: Clock, verify: "Verify | None" = None) -> None:
        self._store = store
        self._clock = clock
        self._budget = LogRateLimit()
        self._verify = verify

    async def decide(self, decision: "VerificationSteps[T]") -> T:
        """Run a decision to its end, verifying its signatures. Raises :class:`RejectedError`."""
        from agent.update.io.signatures import Verifier, run_verification

        if self._verify is None:
            self._verify = Verifier()
        return await run_verification(decision, self._verify)

    async def open_command(self, raw: bytes) -> bytes:
        """Return the payload of a signed command if enough keys of the role have signed it. Raises
        :class:`RejectedError`."""
        from agent.update.signed.dsse import COMMAND_TYPE, authenticate, parse

        if self._store.trust is None:
            raise RejectedError(Rejection.NO_TRUST, _("this gateway trusts no key yet: install trust.json"))
        return await self.decide(authenticate(parse(raw), self._store.trust.roles["command"], COMMAND_TYPE))

    async def install(self, raw: bytes) -> None:
        """Install the technician's ``trust.json`` if its oldest root is new. Raises :class:`RejectedError`."""
        from agent.update.signed.trust import adopt, leads_to, parse_chain, parse_root

        chain = parse_chain(raw)
        origin = parse_root(chain[0].payload).fingerprint
        if origin == self._store.state.origin and self._store.trust is not None:
            return
        if self._store.trust_lost:
            line = _("no copy of the trust root can be read; using {file} again").format(file="trust.json")
            _log.error(line, extra=log_extra(LogCode.TRUST_LOST))
        elif self._store.lost and self._store.trust is not None and leads_to(chain, self._store.trust):
            # The state was lost with the record of which file was installed, but the trusted root was not.
            await self._store.keep_origin(origin)
            await self.follow(raw)
            return
        followed = await self.decide(adopt(raw))
        await self._store.keep_trust(followed, origin)

    async def follow(self, raw: bytes) -> bool:
        """Follow ``config/trust`` as far as it is valid, and return whether the trusted root changed. Raises
        :class:`RejectedError` only if this gateway failed, not the message: retry it."""
        if self._store.trust is None:
            return False
        from agent.update.signed.trust import follow

        reached = self._store.trust.version
        try:
            followed = await self.decide(follow(raw, self._store.trust))
            if followed.payload is not None:
                await self._store.keep_trust(followed)
            if followed.rejected is not None:
                raise followed.rejected
        except RejectedError as error:
            allowed, suppressed = self._budget.allows("trust", seconds(self._clock))
            if allowed:
                line = _("cannot use {file}: {error}").format(file="config/trust", error=error)
                if suppressed:
                    line += " " + _("({count} more rejections were not logged)").format(count=suppressed)
                _log.warning(line, extra=log_extra(error.code))
            if error.transient:
                raise
        return self._store.trust.version != reached
