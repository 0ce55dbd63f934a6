"""What a configuration from outside would change at a gateway, without being applied. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core.config import DriverLookup
from agent.core.config_changes import summary
from agent.core.desired import Files, Standing, examine, read_document
from agent.core.envelope import Checked, parse
from agent.core.remote_config import Tables, merged


def plan(
    raw: bytes, standing: Standing, files: Files, catalog: DriverLookup, running: Tables
) -> Checked[Mapping[str, object]]:
    """Check a message as if it came as ``config/desired``, and compare it with the tables that run: ``version``,
    ``hash``, :func:`~agent.core.config_changes.summary` and ``drift``. Raises :class:`Refused`, as it would be refused.
    """
    # Looked at before or not: here the question is new.
    yield from examine(raw, replace(standing, processed=frozenset()), files, catalog)
    document = read_document(parse(raw).payload)
    after = merged(files.base, document.config, files.overlay)
    changes = summary(running, after.tables)
    return {"version": document.version, "hash": document.hash, **changes, "drift": list(after.drift)}
