"""The gateway's own files: ``gardu.toml``, and ``local.toml`` and ``trust.json`` beside it."""

from pathlib import Path

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.generation import Generation


class LocalFiles:
    """``main``: ``gardu.toml``. Each method reads the files as they are now, and raises :class:`RejectedError`."""

    def __init__(self, main: Path) -> None:
        self._main = main
        self.name = str(main)
        self._trust = main.with_name("trust.json")
        self._overlay = main.with_name("local.toml")

    def trust(self) -> bytes:
        """Return ``trust.json``; nothing if it does not exist."""
        try:
            return self._trust.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RejectedError(Rejection.MALFORMED, str(error)) from error

    def generation(self, payload: str | None) -> Generation:
        """Return both configuration files, with this payload."""
        try:
            base = self._main.read_text("utf-8")
            overlay = self._overlay.read_text("utf-8") if self._overlay.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RejectedError(
                Rejection.SCHEMA, _("cannot read {file}: {why}").format(file=self._main, why=error), ""
            ) from error
        return Generation(base, overlay, payload)
