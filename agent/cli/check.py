"""``gardu check FILE``: everything that is wrong with a configuration, without a port or another file."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.i18n import _
from agent.config.io.catalog import Catalog
from agent.config.parse import MAX_BYTES, Parsed, parse


def add_arguments(parser: ArgumentParser) -> None:
    """Add ``FILE`` and ``--json``."""
    parser.add_argument("file", metavar="FILE", type=Path, help=_("configuration file, such as gardu.toml"))
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
    if args.json:
        _print_json(parsed)
    else:
        _print_lines(file, parsed)
    return 0 if parsed.config else 1


def _print_lines(file: Path, parsed: Parsed) -> None:
    for problem in parsed.problems:
        print(problem.located(file), file=sys.stderr)
    if parsed.config:
        print(_("{file}: OK, {count} sensors").format(file=file, count=len(parsed.config.sensor)))


def _print_json(parsed: Parsed) -> None:
    import json
    from dataclasses import asdict

    problems = [asdict(problem) for problem in parsed.problems]
    print(json.dumps({"ok": parsed.config is not None, "problems": problems}, ensure_ascii=False))
