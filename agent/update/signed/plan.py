"""What a configuration from outside would change at a gateway, without being applied. Pure."""

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
    """Check a message as if it came as ``config/desired``, and compare it with what runs: ``version``, ``hash``,
    :func:`summary` and ``drift``. Raises :class:`Refused`, as it would be refused.
    """
    # Looked at before or not: here the question is new.
    context = replace(context, processed=frozenset())
    outcome = yield from examine(raw, context, running.generation, catalog)
    after = outcome.resolved if isinstance(outcome, Accepted) else running
    document = after.document
    assert document is not None  # what changes nothing is the document that runs
    changes = summary(running, after)
    return {"version": document.version, "hash": document.hash, **changes, "drift": list(after.drift)}


def summary(old: Configuration, new: Configuration) -> dict[str, object]:
    """What a change would do, for programs: ids of sensors that are ``added``, ``removed`` or ``changed`` (restart),
    ``reconnect`` (whether the connection to the broker restarts), and ``paths``, everything else that differs."""
    changes = diff(old, new)
    return {
        "added": sorted(changes.added),
        "removed": sorted(changes.removed),
        "changed": sorted(changes.changed),
        "reconnect": changes.reconnect,
        "paths": [one.path for one in differences(old.tables, new.tables) if not one.path.startswith("sensor.")],
    }
