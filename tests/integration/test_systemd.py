"""The package on a booted Debian, with a real systemd whose limits bite (tests/hosts/systemd)."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import ROOT
from tests.support.booted import CONFIG, Booted, sensor
from tests.support.foreign_driver import install, polled
from tests.support.packages import DEB, package

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a root needs root"),
    pytest.mark.skipif(not Path("/sys/fs/cgroup/memory").is_dir(), reason="needs control groups of version 1"),
]

SUITES = ("bookworm", "trixie")
_FIRST_READING_S = 60.0
PAGE = ROOT / "docs" / "installation.md"


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("package")) / DEB


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("newer"), None, "--version", "9.0.0") / "gardu_9.0.0_amd64.deb"


@pytest.fixture(params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Booted]:
    """A machine without Gardu."""
    with Booted(tmp_path / "machine", request.param) as machine:
        yield machine


@pytest.fixture
def gateway(machine: Booted, deb: Path) -> Booted:
    """A machine with Gardu, which reads itself once a second, and a broker."""
    machine.broker()
    machine.write("/etc/gardu/gardu.toml", CONFIG + sensor("self"))
    machine.install(deb)
    machine.until(lambda: machine.show()["ActiveState"] == "active")
    return machine


def test_the_page_leads_from_the_file_to_the_first_reading(machine: Booted, deb: Path, newer: Path) -> None:
    text = PAGE.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 6
    machine.broker()
    machine.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', "755")
    machine.run("mkdir", "/stick")
    machine.copy(deb, f"/stick/{deb.name}")
    began_s = time.monotonic()
    said = machine.shell(f"cd /stick; {blocks[0].replace('apt install', 'apt install --yes')}")
    assert "there is no configuration yet" in said
    machine.shell(blocks[1])
    machine.write("/etc/gardu/gardu.toml", CONFIG + sensor("self"))
    assert "OK, 1 sensors" in machine.shell(blocks[2])
    machine.rows(1, "--filter", "+/v1/+/+/+/telemetry/self")
    took_s = time.monotonic() - began_s
    print(f"{machine.suite}: from apt install to the first reading {took_s:.1f} s")
    assert took_s <= _FIRST_READING_S
    machine.write("/etc/gardu/batua-01.key", "secret", "600")
    machine.shell(blocks[3])
    assert machine.run("stat", "-c", "%U:%G %a", "/etc/gardu/batua-01.key") == "root:gardu 640\n"
    machine.until(lambda: "1 of 1 sensors OK, connected" in machine.shell(blocks[4]))
    machine.shell("rm /stick/*")
    machine.copy(newer, f"/stick/{newer.name}")
    machine.shell(f"cd /stick; {blocks[5].replace('apt install', 'apt install --yes')}")
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "gardu") == "9.0.0"
    machine.rows(1, "--filter", "+/v1/+/+/+/telemetry/self")


def test_without_a_configuration_it_says_so_once_and_is_calm(machine: Booted, deb: Path) -> None:
    machine.install(deb)
    machine.until(lambda: machine.show()["ActiveState"] == "failed")
    shown = machine.show()
    assert (shown["ExecMainStatus"], shown["NRestarts"], shown["UnitFileState"]) == ("78", "0", "enabled")
    own = [entry for entry in machine.journal() if entry.get("_COMM") == "gardu"]
    assert [line["MESSAGE"] for line in own if "/etc/gardu/gardu.toml" in line["MESSAGE"]] == [own[0]["MESSAGE"]]
    assert len(own) == 1


def test_it_is_small_and_writes_nothing_but_its_state(gateway: Booted) -> None:
    gateway.rows(3)
    size_kb = int(gateway.run("du", "-sk", "/usr/lib/gardu").split()[0])
    print(f"{gateway.suite}: {size_kb} kB installed, bytecode included")
    assert size_kb <= 60_000
    uncompiled = gateway.shell(
        "cd /usr/lib/gardu/lib; find common/agent common/drivers python$(python3 -c 'import sys;"
        'print("%d.%d" % sys.version_info[:2])\')/site-packages -name "*.py" -printf "%h/__pycache__/%f\n" |'
        ' sed "s/.py$/.*.pyc/" | while read -r one; do ls $one >/dev/null 2>&1 || echo $one; done'
    )
    assert uncompiled == ""
    owned = gateway.shell("find / -xdev -user gardu -not -path '/proc/*' -not -path '/var/lib/gardu*'")
    assert owned == ""


def test_after_kill_9_it_is_back_within_5_s_and_no_number_is_missing(gateway: Booted) -> None:
    with gateway.listen("--filter", "+/v1/+/+/+/telemetry/#", "--format", "jsonl", "--verify") as listening:
        assert listening.stdout is not None
        listening.stdout.readline()
        before = gateway.show()["MainPID"]
        gateway.run("systemctl", "kill", "--signal=KILL", "gardu")
        took_s = gateway.until(lambda: gateway.show()["MainPID"] not in ("0", before), 10.0)
        assert took_s <= 5.0
        gateway.until(lambda: gateway.show()["ActiveState"] == "active")
        assert gateway.show()["NRestarts"] == "1"
        for _ in range(3):
            listening.stdout.readline()
        listening.terminate()
        account = listening.communicate(timeout=10)[1]
    assert listening.returncode == 0, account
    assert "telemetry/self" in account


# For longer than the universe lasts, and nothing else in the process runs meanwhile.
HOLDS_EVERYTHING_UP = polled("holding", 'time.sleep(1); __import__("re").match("(a+)+$", "a" * 60 + "b")')
EATS = polled("eating", "time.sleep(1); self.all = [bytearray(1 << 20) for _ in range(1000)]")
ENDS_EVERYTHING = polled("ending", 'time.sleep(1); __import__("os")._exit(3)')


def put_driver(gateway: Booted, tmp_path: Path, name: str, code: str) -> None:
    """A driver of somebody else, where the documentation says that it belongs, and a sensor that uses it."""
    folder = install(tmp_path / "drivers", name, code)
    for file in folder.rglob("*"):
        if file.is_file():
            gateway.write(f"/usr/local/lib/gardu/{file.relative_to(folder)}", file.read_text())
    gateway.write("/etc/gardu/gardu.toml", CONFIG + sensor("self") + sensor("other", name))


def test_a_blocked_agent_is_ended_by_the_watchdog_after_it_was_written_down_where(
    gateway: Booted, tmp_path: Path
) -> None:
    gateway.write("/etc/systemd/system/gardu.service.d/test.conf", "[Service]\nWatchdogSec=4\nRestartSec=20\n")
    gateway.run("systemctl", "daemon-reload")
    put_driver(gateway, tmp_path, "holding", HOLDS_EVERYTHING_UP)
    gateway.run("systemctl", "restart", "gardu")
    gateway.until(lambda: gateway.show()["Result"] != "success", 30.0)
    assert gateway.show()["Result"] == "watchdog"
    said = gateway.says()
    assert "gardu_holding.py" in said
    assert said.index("gardu_holding.py") < said.index("Watchdog timeout")


def test_an_agent_that_needs_too_much_memory_is_ended_and_comes_back(gateway: Booted, tmp_path: Path) -> None:
    put_driver(gateway, tmp_path, "eating", EATS)
    before = int(gateway.show()["NRestarts"])
    gateway.run("systemctl", "restart", "gardu")
    gateway.until(lambda: int(gateway.show()["NRestarts"]) > before, 30.0)
    assert "status=9/KILL" in gateway.says()
    gateway.until(lambda: gateway.show()["ActiveState"] == "active")


def test_after_five_quick_failures_it_runs_without_sensors_and_can_be_mended(gateway: Booted, tmp_path: Path) -> None:
    put_driver(gateway, tmp_path, "ending", ENDS_EVERYTHING)
    with gateway.listen("--filter", "+/v1/+/+/+/event/_agent", "--format", "jsonl") as listening:
        assert listening.stdout is not None
        gateway.run("systemctl", "restart", "gardu")
        assert any('"safe_mode"' in line for line in listening.stdout)
        listening.terminate()
    restarts = gateway.show()["NRestarts"]
    gateway.until(lambda: "safe mode" in gateway.show()["StatusText"], 15.0)
    gateway.write("/etc/gardu/gardu.toml", CONFIG + sensor("self"))
    gateway.run("systemctl", "reload", "gardu")
    gateway.rows(1, "--filter", "+/v1/+/+/+/telemetry/self")
    assert gateway.show()["NRestarts"] == restarts


def test_a_store_that_cannot_be_used_is_tried_less_and_less_often(gateway: Booted) -> None:
    gateway.run("systemctl", "stop", "gardu")
    gateway.shell(
        'python3 -c \'import sqlite3; sqlite3.connect("/var/lib/gardu/store.db").execute("PRAGMA user_version=99")\''
    )
    gateway.run("systemctl", "start", "--no-block", "gardu")
    gateway.until(lambda: "starting in 15 s" in gateway.says(), 60.0)
    assert gateway.show()["NRestarts"] == "4"
    assert gateway.says().count("newer release") == 4
    gateway.ask("systemctl", "restart", "gardu")
    gateway.until(lambda: gateway.says().count("newer release") == 5, 5.0)


def test_a_line_in_the_journal_says_which_sensor_and_what(gateway: Booted) -> None:
    gateway.write("/etc/gardu/gardu.toml", CONFIG + sensor("air-1", "sds011", 'port = "/dev/ttyUSB7"'))
    gateway.run("systemctl", "restart", "gardu")
    gateway.until(lambda: "/dev/ttyUSB7" in gateway.says())
    (line, *_) = [entry for entry in gateway.journal() if "/dev/ttyUSB7" in entry["MESSAGE"]]
    assert (line["SENSOR"], line["PRIORITY"], line["SYSLOG_IDENTIFIER"]) == ("air-1", "4", "gardu")
    assert line["CODE"]


def test_it_stops_within_5_s_under_load(gateway: Booted) -> None:
    many = "".join(sensor(f"self-{number}", more="interval_s = 0.1") for number in range(8))
    gateway.write("/etc/gardu/gardu.toml", CONFIG + many)
    gateway.run("systemctl", "restart", "gardu")
    gateway.rows(100)
    began_s = time.monotonic()
    gateway.run("systemctl", "stop", "gardu")
    assert time.monotonic() - began_s <= 5.0
    shown = gateway.show()
    assert (shown["Result"], shown["ExecMainStatus"], shown["ActiveState"]) == ("success", "0", "inactive")


def test_an_upgrade_and_a_downgrade_under_load_lose_nothing(gateway: Booted, deb: Path, newer: Path) -> None:
    many = "".join(sensor(f"self-{number}", more="interval_s = 0.1") for number in range(8))
    gateway.write("/etc/gardu/gardu.toml", CONFIG + many)
    gateway.run("systemctl", "restart", "gardu")
    with gateway.listen("--filter", "+/v1/+/+/+/+/#", "--format", "jsonl", "--verify") as listening:
        assert listening.stdout is not None
        began = {}
        for version, file, more in (("9.0.0", newer, ()), ("0.1.0", deb, ("--allow-downgrades",))):
            for _ in range(50):
                listening.stdout.readline()
            began[version] = gateway.show()["ExecMainStartTimestampMonotonic"]
            gateway.install(file, *more)
            assert gateway.run("dpkg-query", "-W", "-f", "${Version}", "gardu") == version
            assert gateway.show()["ExecMainStartTimestampMonotonic"] != began[version]
        for _ in range(100):
            listening.stdout.readline()
        gateway.run("systemctl", "stop", "gardu")
        listening.terminate()
        account = listening.communicate(timeout=20)[1]
    assert listening.returncode == 0, account
    assert account.count(" 0 lost, 0 missing,") == account.count(" numbers, ") >= 9
    assert gateway.run("cat", "/etc/gardu/gardu.toml") == CONFIG + many


def inventory(machine: Booted) -> set[str]:
    """Every file that is not of a moment, and every account."""
    places = "/etc /usr /opt /root /home /srv /var/lib /var/cache /var/log /run/systemd /lib /bin /sbin"
    passing = r"^/var/lib/dpkg|^/var/lib/apt|^/var/cache|^/var/log|/machine-id|^/etc/(passwd|group|g?shadow|sub.id)-?$"
    passing += r"|^/run/systemd/(transient|units|journal|propagate|unit-root|inaccessible|notify|private)"
    passing += r"|^/run/systemd/(sessions|ask-password)"
    passing += r"|\.deb$|^/usr/(lib|share)/python3.*/__pycache__|^/var/lib/systemd/(timers|random-seed|catalog)"
    listed = machine.shell(f"find -P {places} -xdev -print; cat /etc/passwd /etc/group").splitlines()
    return {line for line in listed if not re.search(passing, line)}


def test_remove_leaves_the_data_and_purge_leaves_nothing(machine: Booted, deb: Path) -> None:
    before = inventory(machine)
    machine.broker()
    machine.install(deb)
    machine.write("/etc/gardu/gardu.toml", CONFIG + sensor("self"))
    machine.write("/etc/systemd/system/gardu.service.d/test.conf", "[Service]\nRestartSec=3\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "gardu")
    machine.rows(2)
    machine.run("apt-get", "-q", "remove", "--yes", "gardu")
    assert machine.ask("pgrep", "-u", "gardu").returncode != 0
    assert machine.run("ls", "/etc/gardu/gardu.toml", "/var/lib/gardu/store.db").count("\n") == 2
    assert machine.ask("ls", "/usr/lib/gardu").returncode != 0
    machine.run("apt-get", "-q", "purge", "--yes", "gardu")
    assert inventory(machine) - before == set()
    assert machine.run("systemctl", "list-units", "--all", "--no-legend", "gardu*") == ""


def test_installed_again_it_goes_on_with_what_it_had(gateway: Booted, deb: Path) -> None:
    gateway.rows(2, "--filter", "+/v1/+/+/+/telemetry/self")
    gateway.run("apt-get", "-q", "remove", "--yes", "gardu")
    gateway.install(deb)
    (row,) = gateway.rows(1, "--filter", "+/v1/+/+/+/telemetry/self")
    assert row["seq"] > 2


def test_a_secret_can_be_a_credential_of_systemd(gateway: Booted) -> None:
    gateway.write("/etc/mosquitto/mosquitto.conf", "listener 1883 127.0.0.1\npassword_file /etc/mosquitto/accounts\n")
    gateway.shell("mosquitto_passwd -b -c /etc/mosquitto/accounts gateway secret; chmod 644 /etc/mosquitto/accounts")
    gateway.run("systemctl", "restart", "mosquitto")
    gateway.write("/etc/gardu/broker.password", "secret\n", "600")
    named = '"mqtt://127.0.0.1:1883"\nusername = "gateway"\npassword_file = "broker.password"'
    gateway.write("/etc/gardu/gardu.toml", CONFIG.replace('"mqtt://127.0.0.1:1883"', named) + sensor("self"))
    drop_in = re.search(r"^\[Service\]\nLoadCredential=.*\n", PAGE.read_text(), re.M)
    assert drop_in
    gateway.write("/etc/systemd/system/gardu.service.d/secrets.conf", drop_in[0])
    gateway.run("systemctl", "daemon-reload")
    gateway.run("systemctl", "restart", "gardu")
    gateway.until(lambda: ", connected" in gateway.show()["StatusText"])


PROBE = """
import ctypes, errno, json, mmap, os, resource, socket

def asked(action, *words):
    try:
        action(*words)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "yes"

def opened(name, flags=os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK):
    return asked(lambda: os.close(os.open(name, flags)))

def written(name):
    return asked(lambda: open(name, "w").close())

def mapped():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()

def forked():
    children = []
    try:
        for _ in range(100):
            child = os.fork()
            if child == 0:
                os.read(pipe[0], 1)
                os._exit(0)
            children.append(child)
    finally:
        os.close(pipe[1])

def call(name, *words):
    libc = ctypes.CDLL(None, use_errno=True)
    return "yes" if getattr(libc, name)(*words) >= 0 else errno.errorcode[ctypes.get_errno()]

pipe = os.pipe()
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print(json.dumps({
    "user": os.getuid() > 0, "rights": int(status["CapEff"], 16), "new rights": status["NoNewPrivs"],
    "state": written(os.environ["STATE_DIRECTORY"] + "/probe"),
    "etc": written("/etc/open/probe"), "usr": written("/usr/open/probe"), "var": written("/var/open/probe"),
    "home": asked(os.listdir, "/home"), "temporary": os.path.exists("/tmp/of-others"),
    "memory of others": opened("/proc/1/mem", os.O_RDONLY), "kernel": written("/proc/sys/kernel/hostname"),
    "cpuid": opened("/dev/cpuid-0", os.O_RDONLY), "null": opened("/dev/null"),
    "usb": opened("/dev/ttyUSB9"), "acm": opened("/dev/ttyACM9"), "i2c": opened("/dev/i2c-9"),
    "uart": opened("/dev/ttyS9"),
    "packet": asked(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
    "netlink": asked(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
    "raw": asked(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1),
    "tcp": asked(socket.create_connection, ("127.0.0.1", 1883)),
    "namespace": call("unshare", 0x10000000), "mount": call("mount", b"x", b"/tmp", b"tmpfs", 0, None),
    "clock": call("adjtimex", ctypes.create_string_buffer(256)), "code in data": asked(mapped), "tasks": asked(forked),
}))
"""


def probe(gateway: Booted, unit: str) -> dict[str, object]:
    """What a process may do under this unit."""
    gateway.write("/usr/local/lib/probe.py", PROBE)
    gateway.write("/etc/systemd/system/probe.service", unit)
    gateway.run("systemctl", "daemon-reload")
    gateway.run("systemctl", "start", "probe")
    answers: dict[str, object] = json.loads(gateway.run("cat", "/run/probe.json"))
    return answers


def the_unit_as_probe(gateway: Booted) -> str:
    """The agent's unit, which runs the probe in its place."""
    unit = gateway.run("cat", "/usr/lib/systemd/system/gardu.service")
    ours = re.sub(r"^ExecStart=.*$", "ExecStart=/usr/bin/python3 /usr/local/lib/probe.py", unit, flags=re.M)
    ours = re.sub(r"^Type=.*$", "Type=oneshot\nStandardOutput=truncate:/run/probe.json", ours, flags=re.M)
    return re.sub(r"^(Restart|WatchdogSec|NotifyAccess|ExecStopPost).*\n", "", ours, flags=re.M)


def test_the_agent_may_ask_the_kernel_for_the_clock_where_the_operator_says_so(gateway: Booted) -> None:
    before = probe(gateway, the_unit_as_probe(gateway))
    drop_in = re.search(r"^\[Service\]\n(ProtectClock=no\n.*\n)", (ROOT / "docs/operators.md").read_text(), re.M)
    assert drop_in
    after = probe(gateway, the_unit_as_probe(gateway).replace("[Install]", drop_in[1] + "[Install]"))
    assert (before["clock"], after["clock"]) == ("EPERM", "yes")


def test_what_the_agent_may_do_is_what_it_needs(gateway: Booted) -> None:
    for name, major, minor in (("ttyUSB9", 188, 9), ("ttyACM9", 166, 9), ("i2c-9", 89, 9), ("ttyS9", 4, 73)):
        gateway.shell(f"mknod /dev/{name} c {major} {minor}; chgrp dialout /dev/{name}; chmod 660 /dev/{name}")
    gateway.shell("mkdir -m 777 /etc/open /usr/open /var/open; touch /tmp/of-others")
    gateway.shell("mknod -m 666 /dev/cpuid-0 c 203 0; useradd --system --groups dialout freely")
    allowed = probe(gateway, the_unit_as_probe(gateway))
    # Another process without the unit's limits, to see that it is they that bite.
    free = probe(
        gateway,
        "[Service]\nType=oneshot\nUser=freely\nStateDirectory=freely\nTasksMax=200\n"
        "StandardOutput=truncate:/run/probe.json\n"
        "ExecStart=/usr/bin/python3 /usr/local/lib/probe.py\n",
    )
    assert allowed["user"] is True
    assert (allowed["rights"], allowed["new rights"]) == (0, "1")
    assert {allowed[name] for name in ("state", "null", "tcp")} == {"yes"}
    assert {allowed[name] for name in ("etc", "usr", "var")} == {"EROFS"}
    assert {free[name] for name in ("etc", "usr", "var")} == {"yes"}
    assert (allowed["temporary"], free["temporary"]) == (False, True)
    assert (allowed["cpuid"], free["cpuid"]) == ("EPERM", "yes")
    # There is no such device here; what counts is that the kernel was asked for it.
    assert {name: allowed[name] for name in ("usb", "acm", "i2c", "uart")} == {
        name: free[name] for name in ("usb", "acm", "i2c", "uart")
    }
    assert "EPERM" not in {allowed[name] for name in ("usb", "acm", "i2c", "uart")}
    assert {allowed[name] for name in ("packet", "netlink")} == {"EAFNOSUPPORT"}
    assert allowed["raw"] in {"EPERM", "EACCES"}
    assert free["netlink"] == "yes"
    assert {allowed[name] for name in ("namespace", "mount")} == {"EPERM"}
    assert free["namespace"] == "yes"
    assert (allowed["code in data"], free["code in data"]) in {("EPERM", "yes"), ("EACCES", "yes")}
    assert (allowed["tasks"], free["tasks"]) == ("EAGAIN", "yes")
    assert allowed["memory of others"] in {"EACCES", "ENOENT", "EPERM"}
    assert (allowed["home"], free["home"]) == ("EACCES", "yes")


def test_the_unit_is_clean_and_closed_for_this_systemd(gateway: Booted) -> None:
    verified = gateway.ask("systemd-analyze", "verify", "gardu.service")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    rated = gateway.ask(
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=16",
        "--no-pager",
        "/usr/lib/systemd/system/gardu.service",
    )
    assert rated.returncode == 0, rated.stdout
    print(gateway.suite, rated.stdout.splitlines()[-1])
    if gateway.suite != "bookworm":  # whose udevadm cannot verify yet
        gateway.run("udevadm", "verify", "/usr/lib/udev/rules.d/60-gardu.rules")
