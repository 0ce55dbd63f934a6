"""The package of a Raspberry Pi, on Debians for arm64: the processor is qemu's, everything else is real."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent import __version__
from tests.support.booted import BROKER, CONFIG, root, sensor
from tests.support.packages import package

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="another root needs root"),
]

_INSTALL_AND_RUN_S = 300
DEB = f"gardu_{__version__}_arm64.deb"
# In namespaces of its own: no network but lo, and nothing of it is left behind.
INSIDE = """
root=$1
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work"
mount -t overlay -o "lowerdir=$root,upperdir=$2/upper,workdir=$2/work" overlay "$3"
ip link set lo up
mount -t proc proc "$3/proc"
mount -t tmpfs tmpfs "$3/dev"
for node in null zero random urandom; do touch "$3/dev/$node"; mount --bind "/dev/$node" "$3/dev/$node"; done
cp "$4"/* "$3/srv"
exec chroot "$3" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
    sh -e /srv/steps
"""
STEPS = f"""
exec 3>&1 >&2
apt-get -q install --yes /srv/{DEB}
cp /srv/gardu.toml /etc/gardu/gardu.toml
uname -m >&3
gardu --version >&3
gardu check /etc/gardu/gardu.toml >&3
/usr/lib/gardu/bin/python3 -I -c 'import cryptography.hazmat.bindings._rust, gpiod, msgpack, serial, smbus2' >&3
mosquitto -d -c /srv/mosquitto.conf
mkdir /run/state && chown gardu:gardu /run/state
setpriv --reuid gardu --regid gardu --init-groups gardu run --state /run/state &
gardu listen mqtt://127.0.0.1 --filter '+/v1/+/+/+/telemetry/self' --format jsonl --seconds 100 | head -n 1 >&3
kill -TERM $!
wait $!
"""


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_it_installs_and_a_reading_comes_to_the_broker(suite: str, tmp_path: Path) -> None:
    out = package(tmp_path / "package", None, architecture="arm64")
    stick = tmp_path / "stick"
    for folder in (stick, tmp_path / "memory", tmp_path / "root"):
        folder.mkdir()
    (out / DEB).rename(stick / DEB)
    (stick / "gardu.toml").write_text(CONFIG + sensor("self"))
    (stick / "mosquitto.conf").write_text(BROKER)
    (stick / "steps").write_text(STEPS)
    ran = subprocess.run(
        [
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-e",
            "-c",
            INSIDE,
            "sh",
            root(suite, "arm64"),
            tmp_path / "memory",
            tmp_path / "root",
            stick,
        ],
        capture_output=True,
        text=True,
        timeout=_INSTALL_AND_RUN_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    machine, version, checked, row = ran.stdout.splitlines()
    assert (machine, version) == ("aarch64", f"gardu {__version__}")
    assert checked == "/etc/gardu/gardu.toml: OK, 1 sensors"
    assert json.loads(row)["gateway"] == "batua-01"
