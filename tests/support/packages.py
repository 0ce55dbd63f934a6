"""The packages as ``.ci/package`` makes them."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agent import __version__
from tests.support.agent_process import ROOT

DEB = f"gardu_{__version__}_amd64.deb"


def package(out: Path, environ: Mapping[str, str] | None = None, *arguments: str, architecture: str = "amd64") -> Path:
    """Make the package for one architecture; gives the folder with everything."""
    command = [sys.executable, str(ROOT / ".ci/package.py"), "--out", str(out), *arguments, architecture]
    subprocess.run(command, check=True, timeout=300, capture_output=True, env={**os.environ, **(environ or {})})
    return out


def shared_folder(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """A folder that is filled once for all workers of this run of the tests; no test may change it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"shared-{name}"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "filled").exists():
            (folder / "content").mkdir(parents=True)
            fill(folder / "content")
            (folder / "filled").touch()
    return folder / "content"
