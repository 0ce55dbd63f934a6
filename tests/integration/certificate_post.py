"""A city, and in it one gateway with its certificate, which can be renewed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.support.agent_process import GATEWAY, ROOT, AgentProcess, configuration, gardu, sensor
from tests.support.city_broker import SHIPPED, CityBroker
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import until
from tests.support.recorder import Recorder

ODD = ROOT / "tests" / "support" / "odd_sign.py"


def serial(file: Path) -> str:
    """The serial number of a certificate, as the CA writes it."""
    pem = file.read_bytes()
    digits = f"{x509.load_pem_x509_certificate(pem[pem.index(b'-----BEGIN CERTIFICATE') :]).serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


class Post:
    """A city, and in it one gateway with its certificate."""

    def __init__(self, folder: Path, name: str = GATEWAY) -> None:
        self.folder = folder
        self.name = name
        self.city = CityBroker(folder)
        self.maintainer = Maintainer(folder / "keys")
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.issue()
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self._login: dict[str, tuple[str, str]] = {}
        for account in ("maintainer.ani", "subscriber.gis"):
            self._login[account] = self.city.account(account)
        broker = (
            f'url = "mqtts://127.0.0.1:{self.city.gateways_port}"\nca_file = "{self.city.ca}"\n'
            f'cert_file = "{self.cert}"\nkey_file = "{self.key}"'
        )
        text = configuration(broker, [sensor("load", "system", more="interval_s = 0.2")])
        self.agent = AgentProcess(folder, text.replace(f'id = "{GATEWAY}"', f'id = "{name}"'))
        self.certificates = self.agent.state / "certificates"
        self.recorder = Recorder(self.city.people_port, (str(self.city.ca),), self._login["subscriber.gis"])

    def issue(self, days: int = 825) -> None:
        """A certificate with a new key for the configured files."""
        gateways = self.city.authority / "gateways"
        for file in gateways.glob(f"{self.name}.*"):
            file.unlink()
        script = '. "$(dirname "$0")/issuing.sh"; use_authority "$1"; issue gateway "$2" "$GARDU_CA/gateways/$2" "$3"'
        words = ["sh", "-c", script, SHIPPED / "x", self.city.authority, self.name, str(days)]
        subprocess.run(words, check=True, capture_output=True)
        shutil.copy(gateways / f"{self.name}.pem", self.cert)
        shutil.copy(gateways / f"{self.name}.key", self.key)

    def signed(self, request: str) -> str:
        """What the shipped script makes of a request."""
        script = [SHIPPED / "sign-request", self.city.authority, GATEWAY]
        return subprocess.run(script, input=request, capture_output=True, text=True, check=True).stdout

    def revoke(self, number: str) -> None:
        """Revoke one certificate alone, and have the broker know it."""
        authority = self.city.authority
        environ = {"GARDU_CA": str(authority), "GARDU_HOST": "DNS:none", "PATH": "/usr/bin:/bin"}
        for words in (
            ("-revoke", authority / "issued" / f"{number}.pem"),
            ("-gencrl", "-crldays", "9", "-out", authority / "crl.pem"),
        ):
            whole = ["openssl", "ca", "-config", SHIPPED / "openssl.cnf", *words]
            subprocess.run(whole, check=True, env=environ, capture_output=True)
        self.city.take_revoked()
        self.city.stop()
        self.city.start()

    @property
    def broker(self) -> tuple[str, ...]:
        """How commands log in."""
        user, _ = self._login["maintainer.ani"]
        return (
            "--broker",
            f"mqtts://127.0.0.1:{self.city.people_port}",
            "--username",
            user,
            "--password-file",
            str(self.folder / "maintainer.ani.password"),
            "--ca-file",
            str(self.city.ca),
        )

    async def renew(self, sign: str = "") -> tuple[int, str, str]:
        sign = sign or f"{SHIPPED}/sign-request '{self.city.authority}'"
        key = str(self.maintainer.key_file("command"))
        return await gardu("cert", "renew", GATEWAY, "--sign", sign, "--key", key, *self.broker)

    async def command(self, *words: str, key: Path | None = None) -> dict[str, Any]:
        signed = ("--key", str(key)) if key else ()
        _, out, err = await gardu("command", GATEWAY, *words, *signed, *self.broker)
        assert err == ""
        reply: dict[str, Any] = json.loads(out)
        return reply

    async def ends_ms(self) -> int:
        """When the certificate ends that the gateway uses, as it knows."""
        result = (await self.command("diagnostics"))["result"]
        found: int = result["certificate"]["not_after"]
        return found

    def online(self) -> bool:
        return bool((self.recorder.last("state") or {}).get("online"))

    async def back(self) -> None:
        """Wait until it is online with rows that are new."""
        before = len(self.recorder.rows("telemetry/load"))
        await until(lambda: self.online() and len(self.recorder.rows("telemetry/load")) > before + 2, 20.0)

    def odd(self, what: str, authority: Path, key: Path) -> str:
        """A command that signs what nobody should."""
        return f"'{sys.executable}' '{ODD}' {what} '{authority}' '{key}'"
