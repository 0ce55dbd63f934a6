"""``gardu config plan OLD NEW``: what a configuration would change, without a gateway."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.cli.maintainer_files import Failed, envelope, is_envelope, read, tables, toml
from agent.core.config import read as read_config
from agent.core.config_changes import Change, changes, to_rebuild
from agent.core.config_words import shown
from agent.core.remote_config import Tables, check_remote, merged, without_local
from agent.core.text import say
from agent.edges.catalog import Catalog

_STAND_IN: Tables = {"gateway": {"id": "gateway", "site": "site", "sector": "health"}}


def add_arguments(parser: ArgumentParser) -> None:
    """``OLD``, ``NEW``, ``--local`` and ``--json``."""
    what = say("a configuration (TOML) or an envelope, of which no signature is verified")
    parser.add_argument("old", metavar="OLD", type=Path, help=what)
    parser.add_argument("new", metavar="NEW", type=Path, help=what)
    local = say("the gateway's local.toml, laid over both")
    parser.add_argument("--local", metavar="FILE", type=Path, default=None, help=local)
    parser.add_argument("--json", action="store_true")


def run(args: Namespace) -> int:
    """Exit status 1: a file cannot be read, or NEW cannot be used."""
    overlay = {} if args.local is None else tables(args.local)
    old, new = _tables(args.old), _tables(args.new)
    before = merged(old, None, overlay)
    # What only the gateway sets stays as it is, unless NEW is the gateway's own file.
    after = merged(new if "gateway" in new else old, without_local(new), overlay)
    found = changes(before.tables, after.tables)
    rebuilt = to_rebuild(before.tables, after.tables)
    if args.json:
        print(json.dumps({
            "changes": [{"path": one.path, "old": one.old, "new": one.new} for one in found],
            "rebuilt": sorted(rebuilt), "drift": after.drift,
        }, ensure_ascii=False, default=str))  # fmt: skip
    else:
        _print(found, rebuilt, after.drift)
    return _judge(args.new, after.tables)


def _tables(path: Path) -> Tables:
    raw = read(path)
    if not is_envelope(raw):
        return toml(raw, path)
    _, document = envelope(raw, path)
    check_remote(document.config)
    return document.config


def _judge(path: Path, whole: Tables) -> int:
    """Tell what is wrong with the new configuration."""
    parsed = read_config({**_STAND_IN, **whole}, Catalog())
    for problem in parsed.problems:
        print(f"{path}: {problem}", file=sys.stderr)
    if parsed.config is None:
        raise Failed(say("{file} cannot be used", file=path))
    return 0


def _print(found: tuple[Change, ...], rebuilt: frozenset[str], drift: tuple[str, ...]) -> None:
    for one in found:
        if one.old is None:
            print(f"+ {one.path}{_value(one.new)}")
        elif one.new is None:
            print(f"- {one.path}{_value(one.old)}")
        else:
            print(f"~ {one.path}: {shown(one.old)} -> {shown(one.new)}")
    if not found:
        print(say("nothing changes"))
    if rebuilt:
        print(say("sensors that begin anew: {names}", names=", ".join(sorted(rebuilt))))
    if drift:
        print(say("local.toml decides: {paths}", paths=", ".join(drift)))


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f" ({value['driver']})" if "driver" in value else ""
    return f" = {shown(value)}"
