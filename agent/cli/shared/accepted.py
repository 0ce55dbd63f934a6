"""Which configuration the agent on this machine has accepted, compared with a file."""

import os
from pathlib import Path

from agent.base.i18n import _
from agent.update.io.accepted_files import AcceptedFiles, accepted_files

SERVICE_FILE = Path("/etc/gardu/gardu.toml")
SERVICE_STATE = Path("/var/lib/gardu")


def accepted(file: Path, raw: bytes, state_dir: Path | None) -> AcceptedFiles | None:
    """Compare ``file``, whose content is ``raw``, with what the agent has accepted.

    ``state_dir``: of the agent; ``None``: of the service, if ``file`` is the service's own. Returns ``None`` where
    nothing is known.

    Raises :class:`OSError` where the state directory exists and cannot be read.
    """
    if state_dir is None:
        if file.absolute() != SERVICE_FILE:
            return None
        state_dir = Path(os.environ.get("STATE_DIRECTORY") or SERVICE_STATE)
    overlay = file.with_name("local.toml")
    try:
        text = overlay.read_text("utf-8") if overlay.exists() else ""
        return accepted_files(state_dir, raw.decode(errors="replace"), text)
    except FileNotFoundError:
        return None


def use_line(file: Path, found: AcceptedFiles, *, valid: bool) -> str:
    """One line for people: whether the agent runs this file, what it runs instead, and what to do."""
    running = _("the last good configuration")
    if found.version:
        running = _("the last good configuration (version {version})").format(version=found.version)
    if not valid:
        return _("{file}: gardu rejects this file and keeps {running}").format(file=file, running=running)
    if found.use == "running":
        return _("{file}: gardu runs this file").format(file=file)
    if found.use == "on_trial":
        return _("{file}: gardu is trying this file out").format(file=file)
    if found.use == "rolled_back":
        return _("{file}: gardu rolled this file back ({why}) and keeps {running}; edit it, or reload to retry").format(
            file=file, why=found.cause or "?", running=running
        )
    return _("{file}: not loaded yet; gardu keeps {running} until you run: sudo systemctl reload gardu").format(
        file=file, running=running
    )
