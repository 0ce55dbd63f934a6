"""Builds the Debian packages, the wheel, and the lists of their components; called by ``.ci/package``."""

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from email.utils import format_datetime
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
LOCK = ROOT / ".ci" / "package.lock"
PYTHONS = ("3.11", "3.13")
"""The versions in Debian 12 and 13, and so in both releases of Raspberry Pi OS."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = ("2_17", "2_28", "2_31", "2_34", "2_35", "2_36")
"""Wheels built for these or older versions run on Debian 12, whose C library is 2.36."""
HOME = "usr/lib/gardu"
DOC = "usr/share/doc/gardu"
# Not needed on a gateway: types for checkers, and scripts that would be installed into everybody's path.
LEFT_OUT = re.compile(r"\.pyi$|(^|/)py\.typed$|\.data/(scripts|headers|data)/|/(INSTALLER|direct_url\.json)$")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel. ``tag``: the Python, ABI and platform in its name."""

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
        """The SPDX expression if the wheel has one, otherwise its own text."""
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
        """The folder to unpack it into: the one for every Python, or the one for a single version."""
        found = re.match(r"cp3(\d+)-cp3", self.tag)
        return f"{HOME}/lib/python3.{found[1]}/site-packages" if found else f"{HOME}/lib/common"


def read_wheel(file: Path) -> Wheel:
    """Read a wheel's metadata."""
    with ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    return Wheel(file, "-".join(file.stem.split("-")[-3:]), metadata)


def commit_time() -> int:
    """Return the time of every file in Unix seconds: that of the last commit, or SOURCE_DATE_EPOCH."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or _output(["git", "log", "-1", "--format=%ct"]))


def agent_wheel(work: Path, epoch: int, version: str | None) -> Wheel:
    """Build the agent's wheel from a copy of the files that git tracks or would track. ``version``: what the
    agent will report."""
    source, out = work / "source", work / "wheel"
    listed = _output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            _copy(ROOT / name, source / name)
    if version is not None:
        module = source / "agent" / "__init__.py"
        text, count = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', module.read_text())
        if count != 1:
            sys.exit(f"package: {module.name} does not define the version")
        module.write_text(text)
    subprocess.run(
        [sys.executable, "-m", "pip", "-qq", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)],
        check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )  # fmt: skip
    return read_wheel(next(out.glob("gardu-*.whl")))


def locked_wheels(architecture: str) -> list[Wheel]:
    """Return the locked wheels for one architecture and every Python, each once. They are kept in the user's cache."""
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
        subprocess.run(
            [sys.executable, "-m", "pip", "-qq", "download", "--no-deps", "--require-hashes", "--only-binary=:all:",
             f"--python-version={python}", "--implementation=cp", *platforms, f"--dest={place}/new", f"-r{LOCK}"],
            check=True,
        )  # fmt: skip
        os.rename(f"{place}/new", folder)


def make_tree(tree: Path, wheels: Sequence[Wheel], architecture: str, version: str, epoch: int) -> None:
    """Create the content of the package below ``tree``."""
    for wheel in wheels:
        _unpack(wheel, tree / wheel.place)
    for python in PYTHONS:
        shared = tree / f"{HOME}/lib/python{python}/site-packages/gardu.pth"
        # The second folder is for third-party drivers that a technician installs; Python skips it if it does not exist.
        _write(shared, "../../common\n/usr/local/lib/gardu\n")
    _write(tree / f"{HOME}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    (tree / HOME / "bin").mkdir()
    (tree / HOME / "bin/python3").symlink_to("../../../bin/python3")
    systemd = ROOT / "systemd"
    _copy(systemd / "debian/gardu", tree / "usr/bin/gardu", 0o755)
    _copy(systemd / "debian/gardu.rtupdate", tree / "usr/share/python3/runtime.d/gardu.rtupdate", 0o755)
    _copy(systemd / "gardu.service", tree / "usr/lib/systemd/system/gardu.service")
    _copy(systemd / "60-gardu.rules", tree / "usr/lib/udev/rules.d/60-gardu.rules")
    _copy(systemd / "debian/lintian-overrides", tree / "usr/share/lintian/overrides/gardu")
    for example in sorted((ROOT / "config").glob("*.toml")):
        _copy(example, tree / DOC / "examples" / example.name)
    for page in sorted((ROOT / "docs").glob("*.md")):
        _copy(page, tree / DOC / page.name)
    _compress(tree / DOC / "NEWS.gz", (ROOT / "CHANGELOG.md").read_text())
    _compress(tree / DOC / "changelog.gz", _debian_changelog(version, epoch))
    _write(tree / DOC / "copyright", _copyright(wheels))
    _write(tree / DOC / "sbom.cdx.json", components(wheels, architecture, version, epoch))
    (tree / "etc/gardu/profiles").mkdir(parents=True)


def components(wheels: Sequence[Wheel], architecture: str, version: str, epoch: int) -> str:
    """Return the components of the package as a CycloneDX 1.6 document."""
    parts = [
        {
            "type": "library",
            "bom-ref": wheel.file.name,
            "name": wheel.name,
            "version": wheel.version,
            "licenses": [_cyclone_licence(wheel)],
            "purl": f"pkg:pypi/{_normal(wheel.name)}@{wheel.version}?file_name={wheel.file.name}",
            "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        }
        for wheel in sorted(wheels, key=lambda one: one.file.name)
    ]
    package = f"pkg:deb/gardu@{version}?arch={architecture}"
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([package, parts]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": package,
                "name": "gardu",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "purl": package,
            },
        },
        "components": parts,
        "dependencies": [{"ref": package, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(whole, indent=1) + "\n"


def make_deb(tree: Path, architecture: str, version: str, epoch: int, out: Path) -> Path:
    """Build a package from the tree. Every date, mode and owner comes from the commit, not from this computer."""
    _settle(tree, epoch)
    scripts = ROOT / "systemd" / "debian"
    size_kb = sum((file.lstat().st_size + 1023) // 1024 for file in _files(tree)) + sum(1 for _ in tree.rglob("*/"))
    control = (scripts / "control").read_text()
    for name, value in {"VERSION": version, "ARCHITECTURE": architecture, "SIZE": str(size_kb)}.items():
        control = control.replace(f"@{name}@", value)
    sums = "".join(
        f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(tree)}\n"
        for file in _files(tree)
        if not file.is_symlink()
    )
    _write(tree / "DEBIAN/control", control)
    _write(tree / "DEBIAN/md5sums", sums)
    for name in ("postinst", "prerm", "postrm"):
        _copy(scripts / name, tree / "DEBIAN" / name, 0o755)
    _settle(tree, epoch)
    deb = out / f"gardu_{version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", str(tree), str(deb)],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )  # fmt: skip
    return deb


def _unpack(wheel: Wheel, place: Path) -> None:
    with ZipFile(wheel.file) as archive:
        for entry in sorted(archive.namelist()):
            if entry.endswith("/") or LEFT_OUT.search(entry):
                continue
            # Unpack purelib and platlib in a wheel's .data to the same place as everything else.
            target = place / re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", entry)
            if ".." in PurePosixPath(entry).parts:
                sys.exit(f"package: {wheel.file.name} has a path that leads out of it: {entry}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


def _settle(tree: Path, epoch: int) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _files(tree: Path) -> Iterator[Path]:
    for path in sorted(tree.rglob("*")):
        if path.is_symlink() or path.is_file():
            yield path


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _cyclone_licence(wheel: Wheel) -> dict[str, object]:
    if wheel.metadata["License-Expression"]:
        return {"expression": wheel.licence}
    return {"license": {"name": wheel.licence}}


def _debian_changelog(version: str, epoch: int) -> str:
    date = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return (
        f"gardu ({version}) stable; urgency=medium\n\n  * What changed stands in NEWS.gz beside this file.\n\n"
        f" -- Gardu maintainers <maintainers@gardu.example>  {date}\n"
    )


def _copyright(wheels: Sequence[Wheel]) -> str:
    text = (ROOT / "systemd/debian/copyright").read_text()
    for name in sorted({wheel.name for wheel in wheels} - {"gardu"}, key=str.lower):
        same = [wheel for wheel in wheels if wheel.name == name]
        files = " ".join(f"{wheel.place}/{part}" for wheel in same for part in _top_level(wheel))
        metadata = same[0].metadata
        author = metadata["Author-email"] or metadata["Author"] or metadata["Maintainer-email"]
        text += (
            f"\nFiles: {files}\nCopyright: {author or 'the authors of ' + name}\n"
            f"License: {_normal(name)}\n {same[0].licence}. The text is in {_licence_file(same[0])}.\n"
        )
    return text


def _top_level(wheel: Wheel) -> list[str]:
    with ZipFile(wheel.file) as archive:
        return sorted({entry.split("/")[0] for entry in archive.namelist() if not LEFT_OUT.search(entry)})


def _licence_file(wheel: Wheel) -> str:
    with ZipFile(wheel.file) as archive:
        texts = [entry for entry in sorted(archive.namelist()) if re.search(r"dist-info/.*(LICEN|COPY)", entry)]
    return f"/{wheel.place}/{texts[0]}" if texts else "its source, from https://pypi.org"


def _compress(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _output(command: Sequence[str]) -> str:
    """Return the output of a git command."""
    try:
        return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"package: {' '.join(command)} failed ({error}): run this in a clone, with git")


def debian_version(version: str) -> str:
    """Convert a Python version so that Debian sorts it correctly: 1.2.0rc1 comes before 1.2.0."""
    return re.sub(r"(a|b|rc|\.dev)([0-9]+)", r"~\1\2", version)


def _release(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+){1,3}((a|b|rc)[0-9]+)?(\.dev[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is not a version such as 1.2.0 or 1.2.0rc1")
    return text


def main() -> int:
    """Build everything and print one line per file."""
    parser = argparse.ArgumentParser(prog=".ci/package", allow_abbrev=False)
    parser.add_argument("architectures", nargs="*", choices=[*MACHINES, []], metavar="|".join(MACHINES))
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--version", type=_release, help="version that the agent reports, such as 1.2.0 or 1.2.0rc1")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    epoch = commit_time()
    made: list[Path] = []
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as place:
        own = agent_wheel(Path(place), epoch, args.version)
        made.append(Path(shutil.copy(own.file, args.out)))
        version = debian_version(own.version)
        for architecture in args.architectures or MACHINES:
            wheels = [own, *locked_wheels(architecture)]
            tree = Path(place) / architecture
            make_tree(tree, wheels, architecture, version, epoch)
            bom = args.out / f"gardu_{version}_{architecture}.cdx.json"
            shutil.copyfile(tree / DOC / "sbom.cdx.json", bom)
            made += [make_deb(tree, architecture, version, epoch, args.out), bom]
    sums = "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in sorted(made))
    (args.out / "SHA256SUMS").write_text(sums)
    for file in made:
        print(f"{file.stat().st_size / 1e6:5.1f} MB  {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
