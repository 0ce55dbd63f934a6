"""Reads source files as syntax trees."""

import ast
from pathlib import Path


def tree(file: Path) -> ast.Module:
    """The syntax tree of a file. Python 3.11 sometimes fails once after a deep recursion elsewhere in the process
    (https://github.com/python/cpython/issues/106905)."""
    text = file.read_text("utf-8")
    try:
        return ast.parse(text)
    except SystemError:
        return ast.parse(text)
