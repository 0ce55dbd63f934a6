"""Shows what a configuration would change at a gateway, without applying it. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from agent.config.diff import Configuration, diff, differences
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig
from agent.update.signed.acceptance import Accepted, GatewayContext, examine
from agent.update.signed.dsse import VerificationSteps


def plan(
    raw: bytes, context: GatewayContext, catalog: DriverLookup, running: ResolvedConfig
) -> VerificationSteps[Mapping[str, object]]:
    """Check a message like one of ``config/desired`` and compare it with the running configuration.

    Returns ``version``, ``hash``, :func:`summary` and ``drift``. Raises :class:`~agent.base.errors.RejectedError`, as
    if the message had arrived as ``config/desired``.
    """
    # Check it even if the same message was processed before.
    context = replace(context, processed=frozenset())
    outcome = yield from examine(raw, context, running.generation, catalog)
    after = outcome.resolved if isinstance(outcome, Accepted) else running
    document = after.document
    assert document is not None  # a message that changes nothing contains the running document
    changes = summary(running, after)
    return {"version": document.version, "hash": document.hash, **changes, "drift": list(after.drift)}


def summary(old: Configuration, new: Configuration) -> dict[str, object]:
    """Return the effects of a change for programs: ids of sensors that are ``added``, ``removed`` or ``changed`` (they
    restart), ``reconnect`` (whether the broker connection restarts), and the ``paths`` of all other differences."""
    changes = diff(old, new)
    return {
        "added": sorted(changes.added),
        "removed": sorted(changes.removed),
        "changed": sorted(changes.changed),
        "reconnect": changes.reconnect,
        "paths": [
            difference.path
            for difference in differences(old.tables, new.tables)
            if not difference.path.startswith("sensor.")
        ],
    }
