"""Every command block of `docs/operators.md`, in its order, on a stand-in for the broker's computer."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agent_process import ROOT, AgentProcess, agent_environ, sensor
from tests.support.city_broker import SHIPPED, configuration_below, listens, relocated
from tests.support.mosquitto import free_port, until

HEAD = '[gateway]\nid = "batua-01"\nsite = "puskesmas-batua"\nsector = "health"\n'
PAGE = ROOT / "docs" / "operators.md"
# sudo: without the rights to give files away. systemctl: of one service. apt-get: has nothing to do.
COMMANDS = {
    "sudo": 'if [ "$1" = install ]; then set -- $(printf "%s " "$@" | sed "s/-[og] mosquitto //g"); fi\nexec "$@"',
    "apt-get": 'test "$1" = install',
    "systemctl": """\
case $1 in
    daemon-reload) ;;
    reload) kill -HUP "$(cat "$PLACE/pid")" ;;
    restart)
        if [ -f "$PLACE/pid" ]; then
            kill "$(cat "$PLACE/pid")"
            # A process that has ended is there until somebody asks for its status; here that may be nobody.
            while [ -e "/proc/$(cat "$PLACE/pid")/status" ] &&
                ! grep -qs "^State:[[:space:]]*[ZX]" "/proc/$(cat "$PLACE/pid")/status"; do
                sleep 0.02
            done
        fi
        mosquitto -c "$PLACE/etc/mosquitto/mosquitto.conf" 2>"$PLACE/broker.err" >&2 &
        echo $! >"$PLACE/pid"
        ;;
    *) exit 2 ;;
esac""",
    "gardu": f'exec "{sys.executable}" -m agent "$@"',
}


class Computer:
    """A home, a checkout and the broker's folders below ``place``, and the page as it reads there."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.ports = (free_port(), free_port())
        self.checkout = place / "checkout"
        shutil.copytree(SHIPPED, self.checkout / "config" / "broker")
        conf = self.checkout / "config" / "broker" / "mosquitto.conf"
        conf.write_text(configuration_below(place, self.ports))
        # What the package of Mosquitto brings.
        for folder in ("etc/mosquitto/certs", "var/lib/mosquitto", "var/log/mosquitto", "run/mosquitto", "bin"):
            (place / folder).mkdir(parents=True)
        for name, text in COMMANDS.items():
            file = place / "bin" / name
            file.write_text(f"#!/bin/sh\n{text}\n")
            file.chmod(0o755)
        text = relocated(PAGE.read_text(), place, self.ports).replace("broker.example", "127.0.0.1")
        text = text.replace("/etc/systemd", f"{place}/etc/systemd").replace("/etc/gardu", f"{place}/etc/gardu")
        self.blocks = re.findall(r"^```(sh|toml)\n(.*?)^```$", text.replace("--seconds 30", "--seconds 3"), re.M | re.S)

    def run(self, block: str) -> str:
        """Run a block as a shell would; give what it printed. It must succeed and complain about nothing."""
        path = os.pathsep.join((str(self.place / "bin"), os.environ["PATH"], "/usr/sbin"))
        environ = agent_environ(more={"PATH": path, "HOME": str(self.place), "PLACE": str(self.place)})
        ran = subprocess.run(
            ["sh", "-eu", "-c", block],
            cwd=self.checkout,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60.0,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), (block, ran)
        return ran.stdout

    async def take(self, words: str) -> str:
        """Run the next block, which has these words."""
        kind, block = self.blocks.pop(0)
        assert kind == "sh"
        assert words in block
        out = self.run(block)
        if "restart" in block:
            await until(lambda: all(map(listens, self.ports)))
        return out

    def turn_off(self) -> None:
        """End the broker, if it was started."""
        if (self.place / "pid").exists():
            os.kill(int((self.place / "pid").read_text()), signal.SIGTERM)


@pytest.fixture
def computer(tmp_path: Path) -> "Computer":
    return Computer(tmp_path)


async def test_the_page_leads_from_nothing_to_readings_and_a_stolen_gateway_is_shut_out(computer: Computer) -> None:
    try:
        await computer.take("apt-get install")
        await computer.take("config/broker/ca ")
        await computer.take("systemctl restart")
        await computer.take("gateway-certificate")
        gardu = computer.place / "etc" / "gardu"
        gardu.mkdir()
        authority = computer.place / "gardu-ca"
        for file in (authority / "ca.pem", *(authority / "gateways").iterdir()):
            shutil.copy(file, gardu)
        kind, table = computer.blocks.pop(0)
        assert kind == "toml"
        await computer.take("account")
        quick = "[publish]\nmax_delay_s = 0.5\n[store]\ncommit_s = 0\n"
        text = f"{HEAD}{table}{quick}{sensor('load', 'system', more='interval_s = 0.2')}"
        async with AgentProcess(computer.place, text) as agent:
            await agent.told("connected, MQTT 5")
            out = await computer.take("gardu listen")
            assert "batua-01" in out, agent.lines
            assert "load" in out
            await computer.take("revoke")
            await agent.told("not connected", 20.0)
        assert computer.blocks == []
    finally:
        computer.turn_off()
