"""The broker as `config/broker/` ships it: its files with only their paths and ports replaced, its own scripts for CA,
certificates and accounts."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.mosquitto import Mosquitto, free_port
from tests.support.mqtt_caller import Caller
from tests.support.pki import Issued

SHIPPED = Path(__file__).parents[2] / "config" / "broker"
_START_S = 5.0


def script(name: str, *arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run one of the shipped scripts to its end. ``given``: its standard input, which is text."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    return subprocess.run(
        [SHIPPED / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        input=given.decode(),
        env={**os.environ, "PATH": path},
        timeout=30.0,
    )


def done(name: str, *arguments: object) -> str:
    """Run one of the shipped scripts, which must succeed; give what it printed."""
    ran = script(name, *arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


def relocated(text: str, folder: Path, ports: tuple[int, int]) -> str:
    """A shipped text with its paths below ``folder`` and other ports."""
    for place in ("/etc", "/var/lib", "/var/log", "/run"):
        text = text.replace(f"{place}/mosquitto", f"{folder}{place}/mosquitto")
    return text.replace("8883", str(ports[0])).replace("8884", str(ports[1]))


def configuration_below(folder: Path, ports: tuple[int, int]) -> str:
    """The shipped ``mosquitto.conf``, for a broker below ``folder``."""
    text = relocated((SHIPPED / "mosquitto.conf").read_text(), folder, ports)
    # Run as root it would give up its rights and could not read the test's files.
    return text + ("user root\n" if os.getuid() == 0 else "")


def listens(port: int) -> bool:
    """Whether something takes connections at this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class CityBroker:
    """A city's broker, CA and accounts below ``folder``. ``with CityBroker(folder) as broker`` runs it.

    ``gateways_port`` wants a certificate, ``people_port`` a password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = folder / "ca"
        self.gateways_port, self.people_port = free_port(), free_port()
        self._etc = folder / "etc" / "mosquitto"
        self._process: subprocess.Popen[bytes] | None = None
        for place in ("etc/mosquitto/certs", "var/lib/mosquitto", "var/log/mosquitto", "run/mosquitto"):
            (folder / place).mkdir(parents=True)
        done("ca", self.authority)
        done("broker-certificate", self.authority, "127.0.0.1")
        own = self.authority / "broker" / "127.0.0.1"
        shutil.copy(own.with_name("127.0.0.1.pem"), self._etc / "certs" / "broker.pem")
        shutil.copy(own.with_name("127.0.0.1.key"), self._etc / "certs" / "broker.key")
        shutil.copy(self.ca, self._etc / "certs" / "ca.pem")
        self.take_revoked()
        shutil.copy(SHIPPED / "acl", self._etc / "gardu.acl")
        (self._etc / "gardu.passwords").touch(0o600)
        self._file = self._etc / "mosquitto.conf"
        self._file.write_text(configuration_below(folder, (self.gateways_port, self.people_port)))

    @property
    def ca(self) -> Path:
        """What all must trust."""
        return self.authority / "ca.pem"

    @property
    def log(self) -> str:
        """What the broker has noted."""
        return (self.folder / "var/log/mosquitto/mosquitto.log").read_text()

    def gateway(self, name: str) -> Issued:
        """The certificate of a gateway."""
        done("gateway-certificate", self.authority, name)
        folder = self.authority / "gateways"
        return Issued(folder / f"{name}.pem", folder / f"{name}.key")

    def account(self, name: str) -> tuple[str, str]:
        """An account, for a broker that is not running yet: user and password."""
        file = self.folder / f"{name}.password"
        done("account", self._etc, name, file)
        return name, file.read_text().strip()

    def take_revoked(self) -> None:
        """Bring the CA's list of revoked certificates to the broker."""
        shutil.copy(self.authority / "crl.pem", self._etc / "certs" / "crl.pem")

    def keep_retained(self, topics: Sequence[str], payload: bytes) -> None:
        """Have it start with these retained messages, which no role could have written all."""
        kept = f"allow_anonymous true\npersistence true\npersistence_location {self.folder}/var/lib/mosquitto/\n"
        with Mosquitto(self.folder, kept) as before, Caller(before.port, "seeder") as seeder:
            for topic in topics:
                seeder.publish(topic, payload, retain=True)

    def start(self) -> None:
        """Start, and return when both listeners take connections."""
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + _START_S
        while not (listens(self.gateways_port) and listens(self.people_port)):
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"mosquitto did not start: {self.log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, as an operator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None

    def __enter__(self) -> "CityBroker":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
