"""Renders the files of a push into the configuration of each gateway in the rings."""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.maintainer_files import CommandFailed, read_file
from agent.config.io.catalog import Catalog
from agent.fleet import template as rendering
from agent.fleet.rollout import RolloutTarget
from agent.fleet.template import FleetError, Row

Rings = Sequence[Sequence[str]]


def render_all(args: Namespace) -> tuple[Rings, dict[str, RolloutTarget]]:
    """Return the rings, and the target of each gateway in them. Raises :class:`CommandFailed` after printing every
    problem."""
    template = _text(args.template)
    try:
        table: Mapping[str, Row] = rendering.parse_table(_text(args.table))
    except FleetError as error:
        raise CommandFailed(_("{file}: {why}").format(file=args.table, why=error)) from error
    try:
        rings = rendering.rings([rendering.parse_ring(_text(file)) for file in (args.ring, *args.then)], table)
    except FleetError as error:
        raise CommandFailed(str(error)) from error
    targets: dict[str, RolloutTarget] = {}
    warnings: dict[str, str] = {}
    catalog, invalid = Catalog(), 0
    for name in (name for ring in rings for name in ring):
        try:
            config = rendering.render(template, table[name])
            errors, others = rendering.check(name, config, catalog)
            targets[name] = RolloutTarget(name, config, args.confirm_s, round(args.expires_days * 86_400_000))
            if not errors:
                targets[name].payload(1, time.time_ns() // 1_000_000)
        except TypeError:
            errors, others = [_("{file}: a configuration cannot contain dates").format(file=args.template)], []
        except (FleetError, RejectedError) as error:
            errors, others = [str(error)], []
        for line in errors:
            print(f"{name}: {line}", file=sys.stderr)
        invalid += bool(errors)
        for line in others:
            warnings.setdefault(line, name)
    # Print a warning that applies to many gateways only once.
    for line, name in warnings.items():
        print(f"{name}: {line}", file=sys.stderr)
    if invalid:
        raise CommandFailed(
            _("{file} is invalid (affected gateways: {count}); nothing was sent").format(
                file=args.template, count=invalid
            )
        )
    return rings, targets


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=_("save it as UTF-8"))) from error
