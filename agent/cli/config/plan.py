"""``gardu config plan OLD NEW``: what a configuration would change, without a gateway."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.display import json_text, one_line
from agent.base.i18n import _
from agent.cli.config.differences import print_differences
from agent.cli.shared.maintainer_files import CommandFailed, envelope, is_envelope, read, tables, toml
from agent.config.diff import Unresolved, diff, differences
from agent.config.io.catalog import Catalog
from agent.config.layers import Tables, check_remote, merged, without_local
from agent.config.parse import parse_tables

_STAND_IN: Tables = {"gateway": {"id": "gateway", "site": "site", "sector": "health"}}


def add_arguments(parser: ArgumentParser) -> None:
    """``OLD``, ``NEW``, ``--local`` and ``--json``."""
    what = _("a configuration (TOML), or an envelope (its signatures are not verified)")
    parser.add_argument("old", metavar="OLD", type=Path, help=what)
    parser.add_argument("new", metavar="NEW", type=Path, help=what)
    local = _("the gateway's local.toml, which overrides both")
    parser.add_argument("--local", metavar="FILE", type=Path, default=None, help=local)
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def run(args: Namespace) -> int:
    """Exit status 1: a file cannot be read, or NEW cannot be used."""
    overlay = {} if args.local is None else tables(args.local)
    old, new = _tables(args.old), _tables(args.new)
    before = merged(old, None, overlay)
    # What only the gateway sets stays as it is, unless NEW is the gateway's own file.
    after = merged(new if "gateway" in new else old, without_local(new), overlay)
    changes = diff(Unresolved(before.tables), Unresolved(after.tables))
    if args.json:
        found = differences(before.tables, after.tables)
        print(
            json_text(
                {
                    "changes": [{"path": one.path, "old": one.old, "new": one.new} for one in found],
                    "restarted": sorted(changes.started),
                    "removed": sorted(changes.removed),
                    "reconnect": changes.reconnect,
                    "drift": after.drift,
                }
            )
        )
    else:
        print_differences(before.tables, after.tables, sys.stdout)
        if changes.reconnect:
            print(_("the connection to the broker restarts"))
        if after.drift:
            print(_("local.toml overrides: {paths}").format(paths=", ".join(map(one_line, after.drift))))
    return _judge(args.new, after.tables)


def _tables(path: Path) -> Tables:
    raw = read(path)
    if not is_envelope(raw):
        return toml(raw, path)
    _unused, document = envelope(raw, path)
    check_remote(document.config)
    return document.config


def _judge(path: Path, whole: Tables) -> int:
    """Tell what is wrong with the new configuration."""
    parsed = parse_tables({**_STAND_IN, **whole}, Catalog())
    for problem in parsed.problems:
        print(f"{path}: {problem}", file=sys.stderr)
    if parsed.config is None:
        raise CommandFailed(_("cannot use {file}").format(file=path))
    return 0
