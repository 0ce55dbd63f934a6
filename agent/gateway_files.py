"""The gateway's own files, and what they make together with a configuration from outside."""

import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.core import config as configuration
from agent.core.config import DriverLookup
from agent.core.config_missing import read_remaining
from agent.core.guard import unexpected
from agent.core.refusal import INTERNAL_ERROR, Refused
from agent.core.remote_config import merged
from agent.core.text import say
from agent.core.update_state import Cause, Generation
from agent.site import Setup

# What reads signed documents is loaded when there is one: most gateways run for months without.
if TYPE_CHECKING:
    from agent.core.desired import Document, Files


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A generation, and what it makes. ``missing``: why not all of its sensors are in ``setup``."""

    generation: Generation
    setup: Setup
    document: "Document | None"
    drift: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def degraded(self) -> Cause | None:
        """The same as a cause to report; ``None`` where everything is there."""
        if not self.missing:
            return None
        return Cause("degraded", "; ".join(self.missing)[:500], self.missing[0].partition(":")[0])


class GatewayFiles:
    """``main``: ``gardu.toml``; ``local.toml`` and ``trust.json`` lie beside it. All methods raise :class:`Refused`."""

    def __init__(self, main: Path, catalog: DriverLookup) -> None:
        self.main = main
        self._trust = main.with_name("trust.json")
        self._overlay = main.with_name("local.toml")
        self._catalog = catalog

    def trust(self) -> bytes:
        """``trust.json``; nothing where there is none."""
        try:
            return self._trust.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise Refused("malformed", str(error)) from error

    def generation(self, payload: str | None) -> Generation:
        """The files as they are now, with this payload."""
        try:
            base = self.main.read_text("utf-8")
            overlay = self._overlay.read_text("utf-8") if self._overlay.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise Refused("schema", say("{file} cannot be read: {why}", file=self.main, why=error), "") from error
        return Generation(base, overlay, payload)

    def made(self, generation: Generation, *, remaining: bool = False) -> Made:
        """What a generation makes. ``remaining``: it was accepted once, so leave out the sensors that cannot be built
        here now. Whatever a driver, a profile or a stored payload does, it is refused at worst."""
        try:
            return self._made(generation, remaining)
        except Refused:
            raise
        except Exception as error:
            unexpected("a stored configuration", error)
            raise Refused(INTERNAL_ERROR, say("internal error: {why}", why=repr(error))) from error

    def _made(self, generation: Generation, remaining: bool) -> Made:
        document: Document | None = None
        if generation.payload:
            from agent.core.desired import read_document

            document = read_document(generation.payload.encode())
        base, overlay = _tables(generation.base, self.main.name), _tables(generation.overlay, self._overlay.name)
        whole = merged(base, document.config if document else None, overlay)
        if remaining:
            rest = read_remaining(whole.tables, self._catalog)
            parsed, tables, missing = rest.parsed, rest.tables, tuple(str(one) for one in rest.missing)
        else:
            parsed, tables, missing = configuration.read(whole.tables, self._catalog), whole.tables, ()
        if parsed.config is None:
            if document is not None:
                from agent.core.desired import refusal

                raise refusal(parsed)
            problem = next(one for one in parsed.problems if one.level == "error")
            raise Refused("schema", problem.message, problem.path)
        return Made(
            generation, Setup(parsed.config, parsed.drivers, tables, parsed.installed), document, whole.drift, missing
        )

    def tables(self, generation: Generation) -> "Files":
        """Both files of a generation, read."""
        from agent.core.desired import Files

        base, overlay = _tables(generation.base, self.main.name), _tables(generation.overlay, self._overlay.name)
        return Files(base, overlay)


def _tables(text: str, name: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("schema", say("{place} is not valid TOML: {why}", place=name, why=error), "") from error
