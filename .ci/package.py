"""Builds the Debian packages, the wheel, and the lists of their components; called by ``.ci/package``."""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from contents import components, copyright_text, debian_changelog, debian_version, release_number
from wheels import HOME, LEFT_OUT, MACHINES, PYTHONS, ROOT, Wheel, agent_wheel, copy, locked_wheels, output

DOC = "usr/share/doc/gardu"


def commit_time() -> int:
    """Return the time of every file in Unix seconds: that of the last commit, or SOURCE_DATE_EPOCH."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or output(["git", "log", "-1", "--format=%ct"]))


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
    copy(systemd / "debian/gardu", tree / "usr/bin/gardu", 0o755)
    copy(systemd / "debian/gardu.rtupdate", tree / "usr/share/python3/runtime.d/gardu.rtupdate", 0o755)
    copy(systemd / "gardu.service", tree / "usr/lib/systemd/system/gardu.service")
    copy(systemd / "60-gardu.rules", tree / "usr/lib/udev/rules.d/60-gardu.rules")
    copy(systemd / "debian/lintian-overrides", tree / "usr/share/lintian/overrides/gardu")
    for example in sorted((ROOT / "config").glob("*.toml")):
        copy(example, tree / DOC / "examples" / example.name)
    for page in sorted((ROOT / "docs").glob("*.md")):
        copy(page, tree / DOC / page.name)
    _compress(tree / DOC / "NEWS.gz", (ROOT / "CHANGELOG.md").read_text())
    _compress(tree / DOC / "changelog.gz", debian_changelog(version, epoch))
    _write(tree / DOC / "copyright", copyright_text(wheels))
    _write(tree / DOC / "sbom.cdx.json", components(wheels, architecture, version, epoch))
    (tree / "etc/gardu/profiles").mkdir(parents=True)


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
        copy(scripts / name, tree / "DEBIAN" / name, 0o755)
    _settle(tree, epoch)
    deb = out / f"gardu_{version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", str(tree), str(deb)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )
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


def _compress(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def main() -> int:
    """Build everything and print one line per file."""
    parser = argparse.ArgumentParser(prog=".ci/package", allow_abbrev=False)
    parser.add_argument("architectures", nargs="*", choices=[*MACHINES, []], metavar="|".join(MACHINES))
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument(
        "--version", type=release_number, help="version that the agent reports, such as 1.2.0 or 1.2.0rc1"
    )
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
