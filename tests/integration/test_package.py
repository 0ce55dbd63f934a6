"""The Debian package and the wheel, as ``.ci/package`` makes them."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import ROOT
from tests.support.packages import package, shared_folder

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the package for this machine is looked at")

VERSION = "9.1.0rc1"
DEBIAN_VERSION = "9.1.0~rc1"
DEB = f"gardu_{DEBIAN_VERSION}_amd64.deb"
_MAX_DEB_BYTES = 20_000_000
_MAX_INSTALLED_KB = 60_000
LIB = "usr/lib/gardu/lib"
FILES = (
    "bin/gardu",
    "lib/gardu/bin/python3",
    "lib/systemd/system/gardu.service",
    "lib/udev/rules.d/60-gardu.rules",
    "share/doc/gardu/examples/clinic.toml",
    "share/doc/gardu/copyright",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of a version that no checkout has: as a release is made."""
    return shared_folder(tmp_path_factory, "package", lambda place: package(place, None, "--version", VERSION))


@pytest.fixture(scope="module")
def tree(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files, unpacked."""

    def unpack(place: Path) -> None:
        subprocess.run(["dpkg-deb", "--raw-extract", str(made / DEB), str(place / "root")], check=True)

    return shared_folder(tmp_path_factory, "tree", unpack) / "root"


def in_the_package(tree: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where the package's files lie over this computer's /usr, without a network."""
    inside = f"mount -t overlay -o lowerdir={tree}/usr:/usr overlay /usr && cd / && {command}"
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", inside]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )


def fields(deb: Path) -> dict[str, str]:
    text = subprocess.run(["dpkg-deb", "--field", str(deb)], check=True, capture_output=True, text=True).stdout
    return dict(re.findall(r"^(\S+): (.*)$", text, re.M))


def test_the_same_commit_gives_the_same_bytes_wherever_it_is_built(made: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another place"
    elsewhere.mkdir()
    before = os.umask(0o077)
    try:
        environ = {"TZ": "Asia/Makassar", "TMPDIR": str(elsewhere), "LC_ALL": "C.UTF-8"}
        other = package(elsewhere / "out", environ, "--version", VERSION)
    finally:
        os.umask(before)
    names = {file.name for file in made.iterdir()}
    assert names == {file.name for file in other.iterdir()}
    assert all((made / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_the_sums_are_those_of_the_files(made: Path) -> None:
    listed = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count(": OK") == len(list(made.iterdir())) - 1


def test_the_given_version_is_the_one_that_the_agent_reports(made: Path, tree: Path) -> None:
    assert fields(made / DEB)["Version"] == DEBIAN_VERSION
    assert in_the_package(tree, "gardu --version").stdout == f"gardu {VERSION}\n"


def test_it_is_small(made: Path) -> None:
    assert (made / DEB).stat().st_size <= _MAX_DEB_BYTES
    # What is compiled on installation is less again than what is in the package.
    assert int(fields(made / DEB)["Installed-Size"]) <= _MAX_INSTALLED_KB / 2


def test_it_needs_nothing_but_debian(made: Path) -> None:
    needed = {part.split()[0] for part in re.split(r"[,|]", fields(made / DEB)["Depends"])}
    assert needed == {"python3", "libc6", "passwd", "tzdata"}


def test_lintian_finds_no_error(made: Path) -> None:
    root = ["--allow-root"] if os.geteuid() == 0 else []
    found = subprocess.run(["lintian", *root, str(made / DEB)], capture_output=True, text=True, timeout=120)
    assert [line for line in found.stdout.splitlines() if line.startswith("E:")] == []
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_holds_what_a_gateway_needs_and_nothing_of_the_builder(tree: Path) -> None:
    assert all((tree / "usr" / name).is_file() or (tree / "usr" / name).is_symlink() for name in FILES)
    inside = [file for file in tree.rglob("*") if file.is_file() and not file.is_symlink()]
    names = [file.relative_to(tree).as_posix() for file in inside]
    assert [name for name in names if re.search(r"(^|/)(tests?|conftest)(/|\.py|_)|/test_|\.pyc$|\.pyi$", name)] == []
    marks = [str(ROOT).encode() + b"/", b"/tmp/tmp", b"/tmp/pytest"]
    told = [
        (name, mark) for file, name in zip(inside, names, strict=True) for mark in marks if mark in file.read_bytes()
    ]
    assert told == []


def test_everything_belongs_to_root_and_only_programs_can_be_run(made: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "--contents", str(made / DEB)], check=True, capture_output=True, text=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert {line[1] for line in lines} == {"root/root"}
    assert {line[0] for line in lines} == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}
    programs = {line[5] for line in lines if line[0] == "-rwxr-xr-x"}
    assert programs == {"./usr/bin/gardu", "./usr/share/python3/runtime.d/gardu.rtupdate"}
    assert len({line[3] for line in lines}) == 1


def test_the_list_of_parts_is_what_is_in_it(made: Path, tree: Path) -> None:
    bom: Any = json.loads((made / DEB.replace(".deb", ".cdx.json")).read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["version"]) == ("CycloneDX", DEBIAN_VERSION)
    present = {folder.name.removesuffix(".dist-info") for folder in (tree / LIB).rglob("*.dist-info")}
    listed = {f"{part['name'].replace('-', '_')}-{part['version']}" for part in bom["components"]}
    assert {name.lower() for name in present} == {name.lower() for name in listed}
    lock = (ROOT / ".ci/package.lock").read_text()
    for part in bom["components"]:
        assert part["licenses"]
        assert part["purl"].startswith(f"pkg:pypi/{part['name'].lower()}@{part['version']}")
        (digest,) = [one["content"] for one in part["hashes"]]
        assert part["name"] == "gardu" or digest in lock
    compiled = {"msgpack", "cffi", "gpiod"}
    assert {name for name in compiled if sum(part["name"] == name for part in bom["components"]) == 2} == compiled


def test_it_runs_on_debians_python_with_its_own_packages_alone(tree: Path) -> None:
    version = in_the_package(tree, "gardu --version")
    assert (version.stdout, version.stderr) == (f"gardu {VERSION}\n", "")
    check = in_the_package(tree, "gardu check /usr/share/doc/gardu/examples/clinic.toml")
    assert check.stdout.endswith("clinic.toml: OK, 8 sensors\n"), check.stderr
    places = in_the_package(
        tree,
        "/usr/lib/gardu/bin/python3 -I -c 'import cryptography, gpiod, msgpack, paho.mqtt, serial, smbus2, sys;"
        'print(*sys.path, *(sys.modules[name].__file__ for name in ("gpiod", "msgpack", "cryptography")))\'',
    )
    assert places.returncode == 0, places.stderr
    foreign = [one for one in places.stdout.split() if "dist-packages" in one or one.startswith("/usr/local")]
    assert foreign == []
    assert places.stdout.count("/usr/lib/gardu/lib/") >= 5


def test_the_unit_has_no_mistake_and_gives_the_agent_little(tree: Path) -> None:
    unit = "/usr/lib/systemd/system/gardu.service"
    verified = in_the_package(tree, f"systemd-analyze verify {unit}")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    rated = in_the_package(tree, f"systemd-analyze security --offline=true --threshold=16 --no-pager {unit}")
    assert rated.returncode == 0, rated.stdout


def test_the_wheel_installs_with_pip(made: Path, tmp_path: Path) -> None:
    if sys.version_info[:2] not in {(3, 11), (3, 13)}:
        pytest.skip("the package has no compiled parts for this Python")
    (wheel,) = made.glob("*.whl")
    (folder,) = (one for one in wheel_cache() if one.name == f"amd64-{sys.version_info[0]}.{sys.version_info[1]}")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "v")], check=True)
    here = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environ = {**here, "PIP_CONFIG_FILE": os.devnull}
    pip = (str(tmp_path / "v/bin/pip"), "-qq", "install", "--no-index", "--find-links", str(folder))
    subprocess.run([*pip, f"{wheel}[gpio,i2c,updates]"], check=True, env=environ)
    gardu = [str(tmp_path / "v/bin/gardu"), "--version"]
    said = subprocess.run(gardu, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert said.stdout == f"gardu {VERSION}\n"


def wheel_cache() -> list[Path]:
    """Where ``.ci/package`` has kept what it downloaded."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gardu"
    newest = max(place.glob("wheels-*"), key=lambda one: one.stat().st_mtime)
    return sorted(newest.iterdir())


def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    (source,) = (one for one in wheel_cache() if one.name == "amd64-3.11")
    target = tmp_path / "gardu" / source.parent.name / source.name
    shutil.copytree(source, target)
    victim = next(target.glob("tenacity-*.whl"))
    victim.write_bytes(victim.read_bytes() + b" ")
    refused = subprocess.run(
        [sys.executable, str(ROOT / ".ci/package.py"), "--out", str(tmp_path / "out"), "amd64"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert refused.returncode == 1
    assert "tenacity" in refused.stderr
    assert not list(tmp_path.glob("out/*.deb"))


def test_the_lines_for_many_gateways_stop_at_the_first_that_fails(tmp_path: Path) -> None:
    text = (ROOT / "docs/operators.md").read_text()
    (block,) = re.findall(r"^```bash\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "scp").write_text('#!/bin/sh\necho copied "$3"\n')
    (tmp_path / "ssh").write_text('#!/bin/sh\necho "$3"\ntest "$2" != second\n')
    for name in ("scp", "ssh"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "gateways").write_text("first\nsecond\nthird\n")
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-eu", "-c", block], cwd=tmp_path, capture_output=True, text=True, env=environ)
    assert ran.stdout.count("sudo apt-get -q install --yes") == 2
    assert "copied second:/tmp/" in ran.stdout
    assert "second failed" in ran.stdout
    assert "third" not in ran.stdout
