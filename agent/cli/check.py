"""``gardu check FILE``: what is wrong with a configuration or a profile, and whether the agent runs it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from agent.base.i18n import _
from agent.cli.shared.accepted import accepted, use_line
from agent.config.io.catalog import Catalog
from agent.config.parse import MAX_BYTES, Problem, parse
from agent.update.io.accepted_files import AcceptedFiles
from drivers.sdk.tables.lines import with_lines
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.toml import parse_toml


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    file = _("configuration file, such as gardu.toml, or a profile")
    parser.add_argument("file", metavar="FILE", type=Path, help=file)
    state = _("state directory of the agent that runs FILE; default for /etc/gardu/gardu.toml: /var/lib/gardu")
    parser.add_argument("--state", type=Path, default=None, metavar="DIR", help=state)
    parser.add_argument("--json", action="store_true", help=_("print the problems as a JSON document"))


def run(args: Namespace) -> int:
    """0: usable (there may be warnings); 1: not usable, or not there."""
    file: Path = args.file
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        print(_("{file}: {why}").format(file=file, why=error.strerror or error), file=sys.stderr)
        return 1
    is_profile = _is_profile(raw)
    problems, summary = _profile(raw, file) if is_profile else _configuration(raw, file)
    in_use, unknown = (None, "") if is_profile else _in_use(file, raw, args.state)
    if args.json:
        _print_json(problems, bool(summary), in_use)
        return 0 if summary else 1
    for problem in problems:
        print(problem.located(file), file=sys.stderr)
    if summary:
        print(summary)
    if unknown:
        print(_("{file}: {why}").format(file=file, why=unknown), file=sys.stderr)
    if in_use is not None:
        runs = bool(summary) and in_use.use in ("running", "on_trial")
        print(use_line(file, in_use, valid=bool(summary)), file=sys.stdout if runs else sys.stderr)
    return 0 if summary else 1


def _in_use(file: Path, raw: bytes, state_dir: Path | None) -> tuple[AcceptedFiles | None, str]:
    """Return what the agent on this machine makes of the file, and why that is unknown."""
    try:
        return accepted(file, raw, state_dir), ""
    except OSError:
        return None, _("run this as root to see which configuration gardu runs")


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


def _print_json(problems: Sequence[Problem], usable: bool, in_use: AcceptedFiles | None) -> None:
    import json
    from dataclasses import asdict

    agent = None if in_use is None else asdict(in_use)
    document = {"ok": usable, "problems": [asdict(problem) for problem in problems], "agent": agent}
    print(json.dumps(document, ensure_ascii=False))
