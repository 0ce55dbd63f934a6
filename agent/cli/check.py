"""``gardu check FILE``: reports everything that is wrong with a configuration, and whether the agent runs it."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.i18n import _
from agent.cli.shared.accepted import accepted, use_line
from agent.config.io.catalog import Catalog
from agent.config.parse import MAX_BYTES, Parsed, parse
from agent.update.io.accepted_files import AcceptedFiles


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("file", metavar="FILE", type=Path, help=_("configuration file, such as gardu.toml"))
    state = _("state directory of the agent that runs FILE; default for /etc/gardu/gardu.toml: /var/lib/gardu")
    parser.add_argument("--state", type=Path, default=None, metavar="DIR", help=state)
    parser.add_argument("--json", action="store_true", help=_("print the problems as a JSON document"))


def run(args: Namespace) -> int:
    """Exit status 0: the file can be used (there may be warnings); 1: it cannot, or it does not exist."""
    file: Path = args.file
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        print(_("{file}: {why}").format(file=file, why=error.strerror or error), file=sys.stderr)
        return 1
    parsed = parse(raw, Catalog())
    in_use, unknown = _in_use(file, raw, args.state)
    if args.json:
        _print_json(parsed, in_use)
        return 0 if parsed.config else 1
    for problem in parsed.problems:
        print(problem.located(file), file=sys.stderr)
    if parsed.config:
        print(_("{file}: OK, {count} sensors").format(file=file, count=len(parsed.config.sensor)))
    if unknown:
        print(_("{file}: {why}").format(file=file, why=unknown), file=sys.stderr)
    if in_use is not None:
        runs = parsed.config is not None and in_use.use in ("running", "on_trial")
        print(use_line(file, in_use, valid=parsed.config is not None), file=sys.stdout if runs else sys.stderr)
    return 0 if parsed.config else 1


def _in_use(file: Path, raw: bytes, state_dir: Path | None) -> tuple[AcceptedFiles | None, str]:
    """What the agent on this machine makes of the file, and why that is unknown."""
    try:
        return accepted(file, raw, state_dir), ""
    except OSError:
        return None, _("run this as root to see which configuration gardu runs")


def _print_json(parsed: Parsed, in_use: AcceptedFiles | None) -> None:
    import json
    from dataclasses import asdict

    problems = [asdict(problem) for problem in parsed.problems]
    agent = None if in_use is None else asdict(in_use)
    print(json.dumps({"ok": parsed.config is not None, "problems": problems, "agent": agent}, ensure_ascii=False))
