"""What a configuration from outside would change at a gateway, without being applied. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core.config import DriverLookup
from agent.core.config_diff import Configuration, Unresolved, diff, differences
from agent.core.desired import Accepted, Files, Standing, examine, read_document
from agent.core.envelope import Checked, parse
from agent.core.remote_config import merged


def plan(
    raw: bytes, standing: Standing, files: Files, catalog: DriverLookup, running: Configuration
) -> Checked[Mapping[str, object]]:
    """Check a message as if it came as ``config/desired``, and compare it with what runs: ``version``, ``hash``,
    :func:`summary` and ``drift``. Raises :class:`Refused`, as it would be refused.
    """
    # Looked at before or not: here the question is new.
    decision = yield from examine(raw, replace(standing, processed=frozenset()), files, catalog)
    document = read_document(parse(raw).payload)
    after = merged(files.base, document.config, files.overlay)
    # What is accepted already, or runs, was built: with the drivers that are in use.
    installed = decision.parsed.installed if isinstance(decision, Accepted) else running.installed
    changes = summary(running, Unresolved(after.tables, installed))
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
