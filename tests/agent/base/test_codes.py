"""Codes are explained where people look them up."""

import re
from pathlib import Path

import pytest

from agent.base.codes import LogCode, Rejection

DOCS = Path(__file__).parents[3] / "docs"


def explained(page: str, heading: str) -> set[str]:
    """The codes in the first column of the tables below a heading."""
    section = (DOCS / page).read_text("utf-8").split(heading, 1)[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", section, flags=re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}


@pytest.mark.parametrize(
    ("codes", "page", "heading"),
    [
        (Rejection, "maintainers.md", "| code |"),
        (LogCode, "operators.md", "## Messages in the journal"),
    ],
)
def test_every_code_is_explained_and_nothing_else(
    codes: type[Rejection] | type[LogCode], page: str, heading: str
) -> None:
    assert explained(page, heading) == {code.value for code in codes}
