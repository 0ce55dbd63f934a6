"""docs/maintainers.md: its commands do, in their order, what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.base.errors import INTERNAL_ERROR, LIBRARY_MISSING, NOT_SAVED, VERIFIER_FAILED
from tests.agent.update.signed.test_acceptance_refused import VECTORS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "maintainers.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, flags=re.DOTALL)
ONLINE = re.compile(r"gardu (fleet|cert|command)|publish|mosquitto")
"""Commands that need a broker: they are tried where there is one."""


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``gardu`` is this checkout's."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "gardu"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m agent "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


def test_the_commands_of_the_page_do_what_it_shows(tmp_path: Path, shell: dict[str, str]) -> None:
    desk = tmp_path / "desk"
    desk.mkdir()
    for script, shown in BLOCKS:
        if ONLINE.search(script):
            continue
        done = subprocess.run(
            ["sh", "-ec", script], cwd=desk, env=shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        printed = done.stdout.decode()
        assert done.returncode == 0, printed
        if shown:
            pattern = re.escape(shown).replace("…", "[^\n]*")
            assert re.fullmatch(pattern, printed), printed
    assert len(BLOCKS) >= 9


def test_every_code_of_a_refusal_is_on_the_page() -> None:
    table = PAGE.split("| code |")[1].split("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    shown = {code for cell in cells for code in re.findall(r"`(\w+)`", cell)}
    codes = {code for _, _, code, _ in VECTORS}
    assert shown >= codes | {"no_trust", "known_bad", LIBRARY_MISSING, VERIFIER_FAILED, NOT_SAVED, INTERNAL_ERROR}
