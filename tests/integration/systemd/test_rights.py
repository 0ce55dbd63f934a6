"""What the agent may do on a machine is what it needs."""

import json
import re

from tests.support.agent_process import ROOT
from tests.support.booted import BOOTS, CONFIG, Booted, sensor

pytestmark = BOOTS

PAGE = ROOT / "docs" / "installation.md"


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
