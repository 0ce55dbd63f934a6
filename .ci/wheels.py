"""The wheels of the packages: the agent's own, made here, and those of .ci/package.lock."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
LOCK = ROOT / ".ci" / "package.lock"
PYTHONS = ("3.11", "3.13")
"""Of Debian 12 and 13, and so of both Raspberry Pi OS."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = ("2_17", "2_28", "2_31", "2_34", "2_35", "2_36")
"""Wheels made for these or older run on Debian 12, whose C library is 2.36."""
HOME = "usr/lib/gardu"
# What no gateway needs: types for checkers, and scripts that would come into everybody's path.
LEFT_OUT = re.compile(r"\.pyi$|(^|/)py\.typed$|\.data/(scripts|headers|data)/|/(INSTALLER|direct_url\.json)$")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel. ``tag``: of its name: the Python, the ABI and the platform that it is for."""

    file: Path
    tag: str
    metadata: Message

    @property
    def name(self) -> str:
        return str(self.metadata["Name"])

    @property
    def version(self) -> str:
        return str(self.metadata["Version"])

    @property
    def licence(self) -> str:
        """As an SPDX expression where the wheel says so, otherwise in its own words."""
        classifiers = [
            line.rpartition(" :: ")[2]
            for line in self.metadata.get_all("Classifier", [])
            if line.startswith("License :: OSI Approved ::")
        ]
        named = self.metadata["License-Expression"] or self.metadata["License"] or " or ".join(classifiers)
        return str(named or "unknown").split("\n")[0]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    @property
    def place(self) -> str:
        """Where it is unpacked: beside what is for every Python, or with what is for one."""
        found = re.match(r"cp3(\d+)-cp3", self.tag)
        return f"{HOME}/lib/python3.{found[1]}/site-packages" if found else f"{HOME}/lib/common"


def read_wheel(file: Path) -> Wheel:
    """What a wheel says of itself."""
    with ZipFile(file) as archive:
        name = next(one for one in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    return Wheel(file, "-".join(file.stem.split("-")[-3:]), metadata)


def agent_wheel(work: Path, epoch: int, version: str | None) -> Wheel:
    """The agent's own wheel, made from a copy of the files that git has or would have. ``version``: what the agent
    then reports as its own."""
    source, out = work / "source", work / "wheel"
    listed = output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            copy(ROOT / name, source / name)
    if version is not None:
        module = source / "agent" / "__init__.py"
        text, count = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', module.read_text())
        if count != 1:
            sys.exit(f"package: {module.name} does not say the version")
        module.write_text(text)
    subprocess.run(
        [sys.executable, "-m", "pip", "-qq", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)],
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return read_wheel(next(out.glob("gardu-*.whl")))


def locked_wheels(architecture: str) -> list[Wheel]:
    """The wheels of the lock for one architecture and every Python; each once. They stay in the user's cache."""
    allowed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text()))
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gardu" / f"wheels-{key}"
    found: dict[str, Wheel] = {}
    for python in PYTHONS:
        folder = cache / f"{architecture}-{python}"
        if not folder.exists():
            _download(architecture, python, folder)
        for file in sorted(folder.glob("*.whl")):
            wheel = read_wheel(file)
            if wheel.sha256 not in allowed:
                sys.exit(f"package: {file} is not what the lock names: delete {cache}")
            found[file.name] = wheel
    return list(found.values())


def _download(architecture: str, python: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        platforms = [f"--platform=manylinux_{glibc}_{MACHINES[architecture]}" for glibc in GLIBC]
        platforms.append(f"--platform=manylinux2014_{MACHINES[architecture]}")
        kind = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp")
        where = (f"--python-version={python}", *platforms, f"--dest={place}/new", f"-r{LOCK}")
        subprocess.run([sys.executable, "-m", "pip", "-qq", "download", *kind, *where], check=True)
        os.rename(f"{place}/new", folder)


def normal_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def output(command: Sequence[str]) -> str:
    """What a git command prints."""
    try:
        return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"package: {' '.join(command)} failed ({error}): the package is made in a clone, with git")
