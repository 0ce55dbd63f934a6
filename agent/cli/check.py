"""``gardu check FILE``: everything that is wrong with a configuration or a profile, without a port or another file."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from agent.base.i18n import _
from agent.config.io.catalog import Catalog
from agent.config.parse import MAX_BYTES, Problem, parse
from drivers.sdk.tables.lines import with_lines
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.toml import parse_toml


def add_arguments(parser: ArgumentParser) -> None:
    """Add ``FILE`` and ``--json``."""
    file = _("configuration file, such as gardu.toml, or a profile")
    parser.add_argument("file", metavar="FILE", type=Path, help=file)
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
    problems, summary = _profile(raw, file) if _is_profile(raw) else _configuration(raw, file)
    if args.json:
        _print_json(problems, bool(summary))
    else:
        for problem in problems:
            print(problem.located(file), file=sys.stderr)
        if summary:
            print(summary)
    return 0 if summary else 1


def _is_profile(raw: bytes) -> bool:
    tables = parse_toml(raw, Report())
    return tables is not None and "kind" in tables and "gateway" not in tables


def _configuration(raw: bytes, file: Path) -> tuple[Sequence[Problem], str]:
    """Return the problems, and a line for a file that can be used."""
    parsed = parse(raw, Catalog())
    if parsed.config is None:
        return parsed.problems, ""
    return parsed.problems, _("{file}: OK, {count} sensors").format(file=file, count=len(parsed.config.sensor))


def _profile(raw: bytes, file: Path) -> tuple[Sequence[Problem], str]:
    from drivers.sdk.profiles.profile import ProfileError, load_profile

    try:
        driver = load_profile(raw, str(file))
    except ProfileError as error:
        return error.problems, ""
    if driver.name != file.stem:
        message = _("a profile must have the name of its file, {name}").format(name=file.stem)
        return with_lines([Problem("error", "name", "name", message)], raw.decode()), ""
    return (), _("{file}: OK, a profile with {count} fields").format(file=file, count=len(driver.fields))


def _print_json(problems: Sequence[Problem], usable: bool) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps({"ok": usable, "problems": [asdict(problem) for problem in problems]}, ensure_ascii=False))
