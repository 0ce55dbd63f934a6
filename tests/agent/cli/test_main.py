"""The console command from the outside: usage, languages, interruption, a reader that goes away."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import __version__
from agent.base.i18n import choose_language
from agent.cli import commands, main

ROOT = Path(__file__).parents[3]
GARDU = [sys.executable, "-c", "import sys; from agent.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    yield
    choose_language({})


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gardu {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"    {name} " in text for name in commands())


@pytest.mark.parametrize("name", commands())
def test_every_listed_command_shows_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: gardu {name}" in capsys.readouterr().out


NAMES = "run, check, listen, demo, drivers, decode, command, config, fleet, cert, trust, keygen"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], f"gardu: missing command; choose one of: {NAMES} (gardu --help)"),
        (
            ["fly"],
            f'gardu: unknown command "fly"; choose one of: {NAMES} (gardu --help)',
        ),
        (["check"], "gardu check: the following arguments are required: FILE (gardu check --help)"),
        (["check", "a", "b"], "gardu: unrecognized arguments: b (gardu --help)"),
        (["check", "a", "--fast"], "gardu: unrecognized arguments: --fast (gardu --help)"),
        (["--loud"], f"gardu: missing command; choose one of: {NAMES} (gardu --help)"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", line + "\n")


def test_the_locale_chooses_the_language(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    assert main(["check"]) == 2
    assert capsys.readouterr().err == "gardu check: argumen belum ada: FILE (gardu check --help)\n"


def test_only_the_chosen_command_is_loaded() -> None:
    script = (
        "import sys; from agent.cli import main; main(['check', 'config/clinic.toml']);"
        "print(*sorted(name for name in sys.modules if name.startswith('agent.cli')),"
        "*({'asyncio', 'paho', 'sqlite3', 'importlib.metadata'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "agent.cli agent.cli.check agent.cli.shared agent.cli.shared.accepted"


def test_a_reader_that_goes_away_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*GARDU, "check", "config/clinic.toml"],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupted_command_says_so_by_its_status_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "never-written.toml"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            # A job in the background of a shell inherits an ignored SIGINT; a person's terminal does not give that.
            [*GARDU, "check", str(pipe)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
        pipe.open("wb"),  # opens once the command reads
    ):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")
