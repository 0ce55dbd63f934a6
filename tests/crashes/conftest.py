"""The shim, built once."""

from pathlib import Path

import pytest

from tests.crashes import journal


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim's library."""
    return journal.build(tmp_path_factory.mktemp("shim"))
