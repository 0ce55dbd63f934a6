"""Whom this gateway trusts: the technician's first root, the ones that followed, and what their keys have signed."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agent.core.log_budget import LogBudget
from agent.core.log_fields import tagged
from agent.core.refusal import Refused
from agent.core.text import say
from agent.edges.update_dir import UpdateDir
from agent.update_steps import UpdateSteps

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.envelope import Checked
    from agent.edges.signatures import Verify

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Trusted:
    """``verify``: what verifies signatures, made when it is needed."""

    def __init__(self, kept: UpdateDir, steps: UpdateSteps) -> None:
        self._kept = kept
        self._steps = steps
        self._budget = LogBudget()
        self.verify: Verify | None = None

    async def answered(self, decision: "Checked[T]") -> T:
        """Run a decision to its end, its signatures verified. Raises :class:`Refused`."""
        from agent.edges.signatures import Verifier, answered

        if self.verify is None:
            self.verify = Verifier()
        return await answered(decision, self.verify)

    async def opened(self, raw: bytes) -> bytes:
        """What the envelope of a command holds, once enough keys of the role have signed it. Raises
        :class:`Refused`."""
        from agent.core.envelope import COMMAND_TYPE, authenticated, parse

        if self._kept.trust is None:
            raise Refused("no_trust", say("this gateway trusts nobody yet: install trust.json"))
        return await self.answered(authenticated(parse(raw), self._kept.trust.roles["command"], COMMAND_TYPE))

    async def take_first(self, raw: bytes) -> None:
        """The technician's ``trust.json``, where it is another one than before. Raises :class:`Refused`."""
        from agent.core.trust import first, leads_to, parse_chain, read_root

        chain = parse_chain(raw)
        origin = read_root(chain[0].payload).fingerprint
        if origin == self._kept.state.origin and self._kept.trust is not None:
            return
        if self._kept.trust_lost:
            line = say("no copy of the trust root can be read: {file} counts again", file="trust.json")
            _log.error(line, extra=tagged("trust_lost"))
        elif self._kept.lost and self._kept.trust is not None and leads_to(chain, self._kept.trust):
            # Which file was installed was forgotten; the root that was reached was not.
            await self._steps.keep(partial(self._kept.keep_origin, origin))
            await self.follow(raw)
            return
        followed = await self.answered(first(raw))
        await self._steps.keep(partial(self._kept.keep_trust, followed, origin))

    async def follow(self, raw: bytes) -> bool:
        """Follow ``config/trust`` as far as it is good; whether that led on. Raises :class:`Refused` where this gateway
        failed, and not the message: look at it again."""
        if self._kept.trust is None:
            return False
        from agent.core.trust import follow

        reached = self._kept.trust.version
        try:
            followed = await self.answered(follow(raw, self._kept.trust))
            if followed.payload is not None:
                await self._steps.keep(partial(self._kept.keep_trust, followed))
            if followed.refused is not None:
                raise followed.refused
        except Refused as error:
            allowed, kept_back = self._budget.allows("trust", asyncio.get_running_loop().time())
            if allowed:
                line = say("{file} cannot be used: {error}", file="config/trust", error=error)
                if kept_back:
                    line += " " + say("({count} more refusals were not logged)", count=kept_back)
                _log.warning(line, extra=tagged(error.code))
            if error.passing:
                raise
        return self._kept.trust.version != reached
