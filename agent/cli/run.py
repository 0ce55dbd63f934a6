"""``gardu run``: runs the agent in the foreground."""

import asyncio
import logging
import os
import signal
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.app.supervisor import Fault, Supervisor
from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.io.journald import start_logging
from agent.base.io.state_dir import PRIVACY_KEY, StateDir, StateDirLocked
from agent.cli import RUN_SIGNALS
from agent.config import parse as configuration
from agent.config.io.catalog import Catalog
from agent.config.settings import Config
from agent.sensing.privacy import KEY_BYTES
from agent.store.io.errors import StoreNewer
from agent.update.start import NoConfiguration

CONFIGURATION_WRONG = 78
_EXAMPLES = "/usr/share/doc/gardu/examples"

_log = logging.getLogger("agent")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    config = _("configuration file; default: /etc/gardu/gardu.toml")
    parser.add_argument("--config", type=Path, default=Path("/etc/gardu/gardu.toml"), metavar="FILE", help=config)
    state = _("directory for readings and state; default: $STATE_DIRECTORY or /var/lib/gardu")
    parser.add_argument("--state", type=Path, default=None, metavar="DIR", help=state)
    level = _("lowest level of log lines to print; default: info")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"), help=level)


def run(args: Namespace) -> int:
    """Run until SIGTERM or Ctrl-C. Exit status 1: another agent uses the state directory, or a newer release wrote the
    store; 78: the configuration is invalid and there is no last good one."""
    start_logging(args.log_level)
    catalog = Catalog()
    config = _checked(args.config, catalog)
    place = args.state or Path(os.environ.get("STATE_DIRECTORY") or "/var/lib/gardu")
    if config is None and not place.is_dir():
        return CONFIGURATION_WRONG
    try:
        state_dir = StateDir(place)
        if config is None and not (place / "config").is_dir():
            # The first start of the service: create the key, so that only the configuration is missing.
            state_dir.secret(PRIVACY_KEY, KEY_BYTES)
            state_dir.close()
            return CONFIGURATION_WRONG
    except StateDirLocked:
        return _fail(
            _("another agent is using {place}: stop it first, or choose another directory with --state").format(
                place=place
            )
        )
    if state_dir.failed:
        line = _("cannot write to the state directory {place} ({why}); holding its contents in memory").format(
            place=place, why=state_dir.failed
        )
        _log.error(line, extra=log_extra(LogCode.STATE_DIR_FAILED))
    try:
        asyncio.run(_supervise(Supervisor(args.config, state_dir, catalog)))
    except NoConfiguration:
        return CONFIGURATION_WRONG
    except StoreNewer as error:
        return _fail(
            _("the store {path} was written by a newer release: install that release again").format(path=error)
        )
    except Fault as error:
        return _fail(_("internal error; please report it: {what}").format(what=error))
    finally:
        state_dir.close()
    return 0


async def _supervise(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RUN_SIGNALS)
    await supervisor.run()


def _checked(file: Path, catalog: Catalog) -> Config | None:
    """Log the problems of the configuration file, and return its configuration; ``None`` if it is not usable."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        line = _(
            "the configuration {file} does not exist yet: create it (examples in {examples}), then restart gardu"
        ).format(file=file, examples=_EXAMPLES)
        _log.error(line, extra=log_extra(LogCode.NO_CONFIGURATION))
        return None
    except OSError as error:
        _fail(_("cannot read the configuration {file}: {why}").format(file=file, why=error.strerror))
        return None
    parsed = configuration.parse(raw, catalog)
    for problem in parsed.problems:
        level = logging.ERROR if problem.level == "error" else logging.WARNING
        _log.log(level, "%s", problem.located(file), extra=log_extra(problem.code))
    return parsed.config


def _fail(line: str) -> int:
    _log.error(line, extra=log_extra(LogCode.START_FAILED))
    return 1
