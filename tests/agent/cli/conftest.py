"""Desks with the files that a test of the maintainer's commands begins with."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.base.i18n import choose_language
from agent.cli import main
from tests.agent.cli.desk import CONFIG, Desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    yield Desk(tmp_path, capsys)
    choose_language({})


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of three maintainers, of whom two must sign, and of their first root."""
    place = tmp_path_factory.mktemp("office")
    keys = {name: str(place / name) for name in ("ayu", "budi", "citra")}
    for file in keys.values():
        assert main(["keygen", file]) == 0
    roles = [
        word for role in ("--root", "--config") for name in ("ayu", "budi") for word in (role, f"{keys[name]}.pub")
    ]
    two = ["--threshold", "root=2", "--threshold", "config=2", "--key", keys["ayu"], "--key", keys["budi"]]
    assert main(["trust", "create", str(place / "trust.json"), *roles, *two]) == 0
    (place / "batua.toml").write_text(CONFIG)
    return place


@pytest.fixture
def team(desk: Desk, office: Path) -> Desk:
    """A desk with a copy of those files."""
    shutil.copytree(office, desk.place, dirs_exist_ok=True)
    return desk
