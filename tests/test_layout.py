"""The tree stays readable: small files, small folders, tests beside what they test."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("agent", "drivers", "tests", "bench", ".ci")
MAX_LINES = 300
MAX_FILES = 15
"""Modules in a folder, beside its ``__init__``."""


def modules(folder: str) -> list[Path]:
    """The Python files below a folder, relative to the project."""
    return sorted(file.relative_to(ROOT) for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_too_long(folder: str) -> None:
    lengths = {str(file): len((ROOT / file).read_text("utf-8").splitlines()) for file in modules(folder)}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_folder_of_the_agent_is_too_full() -> None:
    counts = Counter(str(file.parent) for file in modules("agent") if file.name != "__init__.py")
    assert {name: count for name, count in counts.items() if count > MAX_FILES} == {}


def test_every_unit_test_stands_where_its_module_stands() -> None:
    """``tests/agent/store/io/test_database.py`` tests ``agent/store/io/database.py``, or one like it in its folder."""
    strays = [file for file in modules("tests/agent") if not (ROOT / file.parent.relative_to("tests")).is_dir()]
    assert strays == []


def test_the_formatter_formats_every_line() -> None:
    """A signature or a call that does not fit misses a value object, a default or a name."""
    everything = [file for folder in FOLDERS for file in modules(folder)]
    marked = [str(file) for file in everything if re.search(r"# fmt: (skip|off)", (ROOT / file).read_text("utf-8"))]
    assert marked == []
