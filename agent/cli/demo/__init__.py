"""``gardu demo``: a city on one machine. It needs only the package and its extra ``demo``."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec

from agent.base.i18n import _

DEFAULT_S = 30.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_S,
        metavar="N",
        help=_("how long to run, in seconds; default: {n:.0f}").format(n=DEFAULT_S),
    )
    parser.add_argument(
        "--outage", action="store_true", help=_("cut the gateways' connection during the middle third of the run")
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 86_400:
        raise ValueError(text)
    return value


def run(args: Namespace) -> int:
    """Run the city. Exit status 1: a reading was lost or stored twice, or an agent failed."""
    missing = [name for name in ("amqtt", "rich") if find_spec(name) is None]
    if missing:
        print(_("the demo needs {what}: pip install 'gardu[demo]'").format(what=", ".join(missing)), file=sys.stderr)
        return 1
    from agent.cli.demo.show import Show

    return asyncio.run(Show(args.seconds, args.outage).run())
