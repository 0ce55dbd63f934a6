"""``docs/faults.md`` names every fault once; it and ``docs/promises.md`` name only tests that exist."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text("utf-8")
PROMISES = (ROOT / "docs" / "promises.md").read_text("utf-8")
FAULTS = {"A": 21, "B": 24, "C": 9, "D": 19, "E": 20, "F": 11, "G": 8}
VERDICTS = ("tested", "reasoning", "accepted")
ROWS = re.findall(r"^\| ([A-Z]\d\d) \| (.+?) \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)


@cache
def functions(file: Path) -> set[str]:
    """The names of the functions of a module."""
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def named_tests(text: str) -> list[tuple[str, str]]:
    """Files and functions of tests that a text names."""
    return re.findall(r"`([\w/]+\.py)::(\w+)`", text)


def test_each_fault_has_one_row() -> None:
    expected = [f"{letter}{number:02}" for letter, count in FAULTS.items() for number in range(1, count + 1)]
    assert [name for name, *_ in ROWS] == expected


def test_each_row_has_one_of_the_verdicts_and_what_it_takes() -> None:
    assert {verdict for _, _, verdict, _ in ROWS} <= set(VERDICTS)
    for name, _, verdict, why in ROWS:
        assert verdict != "tested" or named_tests(why) or re.search(r"as [A-Z]\d\d", why), f"{name} names no test"


def test_the_summary_counts_the_rows() -> None:
    counts = Counter(verdict for _, _, verdict, _ in ROWS)
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    assert f"Summary: {len(ROWS)} faults: {words}." in PAGE


def test_every_test_that_is_named_exists() -> None:
    named = named_tests(PAGE)
    assert PAGE.count("::test_") == len(named)
    missing = [f"{file}::{name}" for file, name in named if name not in functions(ROOT / "tests" / file)]
    assert missing == []


def test_every_promise_names_a_test_that_exists() -> None:
    promises = re.findall(r"^\| [A-Z].+ \| (.+) \|$", PROMISES, re.MULTILINE)
    assert len(promises) > 5
    named = [re.findall(r"`([\w/]+\.py)`", promise) or promise for promise in promises]
    assert [names for names in named if isinstance(names, str) and not names.startswith("the same tests")] == []
    files = re.findall(r"`([\w/]+/test_\w+\.py)`", PROMISES)
    assert [name for name in files if not (ROOT / "tests" / name).is_file()] == []


def test_every_source_of_the_comparison_is_listed_and_used() -> None:
    table, sources = PROMISES.split("\n## Comparison\n")[1].split("\nSources, ")
    used = {int(number) for number in re.findall(r"\[(\d+)\]", table)}
    listed = [int(number) for number in re.findall(r"^(\d+)\. ", sources, re.MULTILINE)]
    assert listed == sorted(used) == list(range(1, len(listed) + 1))
