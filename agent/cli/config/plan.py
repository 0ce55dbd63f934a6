"""``gardu config plan OLD NEW``: shows what a configuration would change, without a gateway."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.display import json_text, one_line
from agent.base.i18n import _
from agent.cli.config.differences import print_differences
from agent.cli.shared.maintainer_files import (
    CommandFailed,
    is_envelope,
    load_tables,
    parse_envelope,
    parse_toml,
    read_file,
)
from agent.config.diff import Unresolved, diff, differences
from agent.config.io.catalog import Catalog
from agent.config.layers import Tables, check_remote, merged, without_local
from agent.config.parse import parse_tables

_PLACEHOLDERS: Tables = {"gateway": {"id": "gateway", "site": "site", "sector": "health"}}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    what = _("a configuration (TOML), or an envelope (its signatures are not verified)")
    parser.add_argument("old", metavar="OLD", type=Path, help=what)
    parser.add_argument("new", metavar="NEW", type=Path, help=what)
    local = _("the gateway's local.toml, which overrides both")
    parser.add_argument("--local", metavar="FILE", type=Path, default=None, help=local)
    parser.add_argument("--json", action="store_true", help=_("print JSON"))


def run(args: Namespace) -> int:
    """Print the changes. Exit status 1: a file cannot be read, or NEW is not usable."""
    overlay = {} if args.local is None else load_tables(args.local)
    old, new = _tables(args.old), _tables(args.new)
    before = merged(old, None, overlay)
    # Keys that only the gateway can set stay as they are, unless NEW is the gateway's own file.
    after = merged(new if "gateway" in new else old, without_local(new), overlay)
    changes = diff(Unresolved(before.tables), Unresolved(after.tables))
    if args.json:
        found = differences(before.tables, after.tables)
        print(
            json_text(
                {
                    "changes": [{"path": change.path, "old": change.old, "new": change.new} for change in found],
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
    return _check(args.new, after.tables)


def _tables(path: Path) -> Tables:
    raw = read_file(path)
    if not is_envelope(raw):
        return parse_toml(raw, path)
    _unused, document = parse_envelope(raw, path)
    check_remote(document.config)
    return document.config


def _check(path: Path, merged_tables: Tables) -> int:
    """Print the problems of the new configuration. Raises :class:`CommandFailed` if it is not usable."""
    parsed = parse_tables({**_PLACEHOLDERS, **merged_tables}, Catalog())
    for problem in parsed.problems:
        print(f"{path}: {problem}", file=sys.stderr)
    if parsed.config is None:
        raise CommandFailed(_("cannot use {file}").format(file=path))
    return 0
