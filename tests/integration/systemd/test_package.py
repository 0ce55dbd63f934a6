"""The package on a booted Debian, with a real systemd whose limits bite (tests/hosts/systemd)."""

import re
import time
from pathlib import Path

from tests.support.agent_process import ROOT
from tests.support.booted import BOOTS, CONFIG, Booted, sensor

pytestmark = BOOTS

_FIRST_READING_S = 60.0
PAGE = ROOT / "docs" / "installation.md"


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


def test_a_line_in_the_journal_says_which_sensor_and_what(gateway: Booted) -> None:
    gateway.write("/etc/gardu/gardu.toml", CONFIG + sensor("air-1", "sds011", 'port = "/dev/ttyUSB7"'))
    gateway.run("systemctl", "restart", "gardu")
    gateway.until(lambda: "/dev/ttyUSB7" in gateway.says())
    (line, *_) = [entry for entry in gateway.journal() if "/dev/ttyUSB7" in entry["MESSAGE"]]
    assert (line["SENSOR"], line["PRIORITY"], line["SYSLOG_IDENTIFIER"]) == ("air-1", "4", "gardu")
    assert line["CODE"]


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
