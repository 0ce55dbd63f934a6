"""The files of a push: a template and a table become what each gateway of the rings shall run."""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.maintainer_files import CommandFailed, read
from agent.config.io.catalog import Catalog
from agent.fleet import template as rendering
from agent.fleet.rollout import RolloutTarget
from agent.fleet.template import FleetError, Row

Rings = Sequence[Sequence[str]]


def rendered(args: Namespace) -> tuple[Rings, dict[str, RolloutTarget]]:
    """The rings, and what each gateway in them shall run. Raises :class:`CommandFailed` after every problem was
    told."""
    template = _text(args.template)
    try:
        table: Mapping[str, Row] = rendering.parse_table(_text(args.table))
    except FleetError as error:
        raise CommandFailed(_("{file}: {why}").format(file=args.table, why=error)) from error
    try:
        rings = rendering.rings([rendering.parse_ring(_text(file)) for file in (args.ring, *args.then)], table)
    except FleetError as error:
        raise CommandFailed(str(error)) from error
    wanted: dict[str, RolloutTarget] = {}
    remarks: dict[str, str] = {}
    catalog, wrong = Catalog(), 0
    for name in (name for ring in rings for name in ring):
        try:
            config = rendering.render(template, table[name])
            errors, others = rendering.check(name, config, catalog)
            wanted[name] = RolloutTarget(name, config, args.confirm_s, round(args.expires_days * 86_400_000))
            if not errors:
                wanted[name].payload(1, time.time_ns() // 1_000_000)
        except TypeError:
            errors, others = [_("{file}: a configuration cannot contain dates").format(file=args.template)], []
        except (FleetError, RejectedError) as error:
            errors, others = [str(error)], []
        for line in errors:
            print(f"{name}: {line}", file=sys.stderr)
        wrong += bool(errors)
        for line in others:
            remarks.setdefault(line, name)
    # The same remark on each of five hundred is one.
    for line, name in remarks.items():
        print(f"{name}: {line}", file=sys.stderr)
    if wrong:
        raise CommandFailed(
            _("{file} is invalid for {count} gateways; nothing was sent").format(file=args.template, count=wrong)
        )
    return rings, wanted


def _text(path: Path) -> str:
    try:
        return read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=_("save it as UTF-8"))) from error
