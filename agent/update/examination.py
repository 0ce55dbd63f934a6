"""Examines messages from outside against this gateway's trust, high-water mark and clock."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent import __version__
from agent.base.io import clock
from agent.config.resolve import ResolvedConfig
from agent.update.inbox import UpdateInbox
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Catalog, Clock
from agent.update.trust_store import TrustStore

# Import the code for signed documents only when one arrives: most gateways run for months without.
if TYPE_CHECKING:
    from agent.base.timekeeping.trusted_time import TrustedTime
    from agent.update.signed.acceptance import Accepted, GatewayContext, NoChange


class Examiner:
    """Examines messages of ``config/desired`` without changing anything."""

    def __init__(self, store: UpdateStore, trust: TrustStore, inbox: UpdateInbox, catalog: Catalog, now: Clock) -> None:
        self._store = store
        self._trust = trust
        self._inbox = inbox
        self._catalog = catalog
        self._clock = now

    async def examine(self, raw: bytes, running: ResolvedConfig) -> "Accepted | NoChange":
        """Decide whether to accept a message while ``running`` runs. Raises
        :class:`~agent.base.errors.RejectedError`."""
        from agent.update.signed.acceptance import examine

        return await self._trust.decide(examine(raw, self._context(running), running.generation, self._catalog))

    async def plan(self, raw: bytes, running: ResolvedConfig) -> Mapping[str, object]:
        """Return what the message would change in ``running``. Raises :class:`~agent.base.errors.RejectedError`."""
        from agent.update.signed.plan import plan

        return await self._trust.decide(plan(raw, self._context(running), self._catalog, running))

    def trusted_time(self) -> "TrustedTime":
        """Return the current time and its lower bound."""
        from agent.base.timekeeping.trusted_time import TrustedTime

        now = self._clock.now()
        bound_ms = max(clock.BUILD_MS, self._clock.proven_ms, self._store.state.mark.issued_ms)
        return TrustedTime(now.t, now.clock_quality > 0, bound_ms)

    def _context(self, running: ResolvedConfig) -> "GatewayContext":
        from agent.update.signed.acceptance import GatewayContext

        state, document = self._store.state, running.document
        # Skip the message that was accepted last, unless its file was lost since.
        accepted = state.processed if self._store.is_named(running.generation) else ""
        return GatewayContext(
            running.settings.gateway.id,
            __version__,
            self._store.trust,
            state.mark,
            self.trusted_time(),
            frozenset({accepted, self._inbox.unchanged_hash}),
            document.hash if document else "",
            frozenset(state.bad),
        )
