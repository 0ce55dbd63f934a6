"""An agent that hangs, eats, crashes, is killed or has no store: systemd and the agent bring it back."""

import time
from pathlib import Path

from tests.support.booted import BOOTS, CONFIG, Booted, sensor
from tests.support.foreign_driver import install, polled

pytestmark = BOOTS


def test_without_a_configuration_it_says_so_once_and_is_calm(machine: Booted, deb: Path) -> None:
    machine.install(deb)
    machine.until(lambda: machine.show()["ActiveState"] == "failed")
    shown = machine.show()
    assert (shown["ExecMainStatus"], shown["NRestarts"], shown["UnitFileState"]) == ("78", "0", "enabled")
    own = [entry for entry in machine.journal() if entry.get("_COMM") == "gardu"]
    assert [line["MESSAGE"] for line in own if "/etc/gardu/gardu.toml" in line["MESSAGE"]] == [own[0]["MESSAGE"]]
    assert len(own) == 1


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
