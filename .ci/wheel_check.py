"""Builds the wheel and checks that it contains every module, profile and translation of the checkout."""

import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile


def main() -> int:
    """Return 0 if nothing is missing."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."], check=True)
        (wheel,) = Path(folder).glob("gardu-*.whl")
        inside = set(ZipFile(wheel).namelist())
    wanted = {
        path.as_posix()
        for package in ("agent", "drivers")
        for path in Path(package).rglob("*")
        if path.suffix in {".py", ".toml", ".mo"}
    }
    for name in sorted(wanted - inside):
        print(f"not in the wheel: {name} (is its folder a package?)")
    return 1 if wanted - inside else 0


if __name__ == "__main__":
    sys.exit(main())
