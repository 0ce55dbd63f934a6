"""Messages from outside are examined as this gateway stands: its trust, its high-water mark, its clock."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent import __version__
from agent.core.config_resolve import ResolvedConfig
from agent.edges import clock
from agent.edges.update_store import UpdateStore
from agent.trust_store import TrustStore
from agent.update_inbox import UpdateInbox
from agent.update_ports import Catalog, Clock

# What reads and verifies signed documents is loaded when one comes: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.desired import Accepted, GatewayContext, NoChange
    from agent.core.moment import Moment


class Examiner:
    """Decides about messages of ``config/desired``, and changes nothing."""

    def __init__(self, store: UpdateStore, trust: TrustStore, inbox: UpdateInbox, catalog: Catalog, now: Clock) -> None:
        self._store = store
        self._trust = trust
        self._inbox = inbox
        self._catalog = catalog
        self._clock = now

    async def examine(self, raw: bytes, running: ResolvedConfig) -> "Accepted | NoChange":
        """What to do about a message where ``running`` runs. Raises :class:`Refused`."""
        from agent.core.desired import examine

        return await self._trust.answered(examine(raw, self._context(running), running.generation, self._catalog))

    async def plan(self, raw: bytes, running: ResolvedConfig) -> Mapping[str, object]:
        """What the message would change where ``running`` runs. Raises :class:`Refused`."""
        from agent.core.config_plan import plan

        return await self._trust.answered(plan(raw, self._context(running), self._catalog, running))

    def moment(self) -> "Moment":
        """What is known of the time."""
        from agent.core.moment import Moment

        now = self._clock.now()
        bound_ms = max(clock.BUILD_MS, self._clock.proven_ms, self._store.state.mark.issued_ms)
        return Moment(now.t, now.cq > 0, bound_ms)

    def _context(self, running: ResolvedConfig) -> "GatewayContext":
        from agent.core.desired import GatewayContext

        state, document = self._store.state, running.document
        # What was accepted last is no news, unless its file was lost since.
        accepted = state.processed if self._store.is_named(running.generation) else ""
        return GatewayContext(
            running.settings.gateway.id,
            __version__,
            self._store.trust,
            state.mark,
            self.moment(),
            frozenset({accepted, self._inbox.looked_at}),
            document.hash if document else "",
            frozenset(state.bad),
        )
