"""The packages as ``.ci/package`` makes them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from agent import __version__
from tests.support.agent_process import ROOT

DEB = f"gardu_{__version__}_amd64.deb"


def package(out: Path, environ: Mapping[str, str] | None = None, *arguments: str, architecture: str = "amd64") -> Path:
    """Make the package for one architecture; gives the folder with everything."""
    command = [sys.executable, str(ROOT / ".ci/package.py"), "--out", str(out), *arguments, architecture]
    subprocess.run(command, check=True, timeout=300, capture_output=True, env={**os.environ, **(environ or {})})
    return out
