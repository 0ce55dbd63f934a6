"""The scripts that make the city's CA, its certificates and its accounts."""

import shutil
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.city_broker import SHIPPED, done, script

PASSWORD = "gis.password"


def ends(certificate: Path) -> tuple[datetime, datetime]:
    """When a certificate begins and ends."""
    said = openssl("x509", "-in", certificate, "-noout", "-startdate", "-enddate")
    first, last = (ssl.cert_time_to_seconds(line.partition("=")[2]) for line in said.splitlines())
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def openssl(*arguments: object) -> str:
    """What the command prints."""
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def contents(folder: Path) -> dict[Path, bytes]:
    """All files below ``folder``."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    folder = tmp_path / "the city's CA"
    done("ca", folder)
    return folder


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    shutil.copy(SHIPPED / "acl", folder / "gardu.acl")
    (folder / "gardu.passwords").touch()
    return folder


def assert_refused(name: str, status: int, words: str, *arguments: object) -> None:
    """One line on standard error that begins with the script's name and has these words; nothing else is said."""
    ran = script(name, *arguments)
    (line,) = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (status, "")
    assert line.startswith(f"{name}: ")
    assert words in line


def test_a_gateway_gets_a_p256_certificate_for_its_id_that_began_days_ago(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    own = authority / "gateways" / "batua-01.pem"
    began, ended = ends(own)
    now = datetime.now(UTC)
    assert began < now - timedelta(days=29)
    assert now + timedelta(days=820) < ended < now + timedelta(days=830)
    assert openssl("x509", "-in", own, "-noout", "-subject", "-nameopt", "RFC2253") == "subject=CN=batua-01\n"
    assert "prime256v1" in openssl("x509", "-in", own, "-noout", "-text")


def test_a_gateway_cannot_play_the_broker_nor_the_broker_a_gateway(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    done("broker-certificate", authority, "broker.example")
    gateway, broker = authority / "gateways" / "batua-01.pem", authority / "broker" / "broker.example.pem"
    for certificate, right, wrong in ((gateway, "sslclient", "sslserver"), (broker, "sslserver", "sslclient")):
        words = ("verify", "-x509_strict", "-CAfile", authority / "ca.pem", "-purpose")
        openssl(*words, right, certificate)
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*words, wrong, certificate)


@pytest.mark.parametrize(("host", "alternative"), [("broker.example", "DNS:"), ("10.0.0.7", "IP Address:")])
def test_the_brokers_certificate_names_its_host(authority: Path, host: str, alternative: str) -> None:
    done("broker-certificate", authority, host)
    own = authority / "broker" / f"{host}.pem"
    assert f"{alternative}{host}\n" in openssl("x509", "-in", own, "-noout", "-ext", "subjectAltName")


def test_authority_and_broker_too_began_days_ago(authority: Path) -> None:
    done("broker-certificate", authority, "broker.example")
    for certificate in (authority / "ca.pem", authority / "broker" / "broker.example.pem"):
        assert ends(certificate)[0] < datetime.now(UTC) - timedelta(days=29)


def test_keys_are_for_their_owner_alone(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    done("broker-certificate", authority, "broker.example")
    modes = {file.name: file.stat().st_mode & 0o777 for file in authority.rglob("*.key")}
    assert modes == dict.fromkeys(("ca.key", "batua-01.key", "broker.example.key"), 0o600)
    assert authority.stat().st_mode & 0o777 == 0o700


def test_run_again_they_change_nothing(authority: Path) -> None:
    runs: tuple[tuple[object, ...], ...] = (
        ("ca", authority),
        ("broker-certificate", authority, "b.example"),
        ("gateway-certificate", authority, "batua-01"),
    )
    for run in runs:
        done(*map(str, run))
    before = contents(authority)
    for run in runs:
        assert "already exists" in done(*map(str, run))
    assert contents(authority) == before


def test_what_was_interrupted_is_finished_with_the_same_key(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    key = authority / "gateways" / "batua-01.key"
    before = key.read_bytes()
    key.with_suffix(".pem").unlink()
    done("gateway-certificate", authority, "batua-01")
    assert key.read_bytes() == before
    assert key.with_suffix(".pem").exists()


def test_a_certificate_that_soon_ends_is_made_anew_for_the_same_key(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    own, key = (authority / "gateways" / f"batua-01.{kind}" for kind in ("pem", "key"))
    before = key.read_bytes()
    openssl("req", "-x509", "-key", key, "-subj", "/CN=batua-01", "-days", "20", "-out", own)
    done("gateway-certificate", authority, "batua-01")
    assert ends(own)[1] > datetime.now(UTC) + timedelta(days=800)
    assert key.read_bytes() == before


def test_a_lost_key_is_told_and_not_replaced_silently(authority: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    (authority / "gateways" / "batua-01.key").unlink()
    assert_refused("gateway-certificate", 1, "its key does not", authority, "batua-01")


@pytest.mark.parametrize(
    "bad",
    ["", "-a", "Batua-01", "batua_01", "batua 01", "a/b", "../ca", "a.b", "a+", "#", "x" * 33, "a\nb", "é", "a/CN=b"],
)
def test_a_bad_gateway_id_is_refused_and_leaves_nothing(authority: Path, bad: str) -> None:
    before = contents(authority)
    assert_refused("gateway-certificate", 2, "is not a valid gateway id", authority, bad)
    assert contents(authority) == before


def test_the_longest_gateway_id_is_taken(authority: Path) -> None:
    done("gateway-certificate", authority, "x" * 32)


@pytest.mark.parametrize("bad", ["", "-x", "a b", "a/b", "*.example", "x" * 65])
def test_a_bad_host_is_refused(authority: Path, bad: str) -> None:
    assert_refused("broker-certificate", 2, f'"{bad}"', authority, bad)


@pytest.mark.parametrize("name", ["gateway-certificate", "broker-certificate", "revoke", "sign-request"])
def test_without_a_ca_they_say_how_to_make_one(tmp_path: Path, name: str) -> None:
    assert_refused(name, 1, "there is no CA", tmp_path / "nowhere", "batua-01")


@pytest.mark.parametrize(
    "name", ["ca", "gateway-certificate", "broker-certificate", "revoke", "account", "sign-request"]
)
def test_wrong_usage_is_one_line(name: str) -> None:
    assert_refused(name, 2, "usage: ")


def test_a_broken_ca_is_told_in_one_line(authority: Path) -> None:
    (authority / "ca.key").write_text("no key\n")
    assert_refused("gateway-certificate", 1, "openssl ca failed", authority, "batua-01")


def test_many_at_once_get_a_certificate_each(authority: Path) -> None:
    names = [f"batua-{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: done("gateway-certificate", authority, name), names))
    serials = {openssl("x509", "-in", authority / "gateways" / f"{name}.pem", "-noout", "-serial") for name in names}
    assert len(serials) == len(names)


def test_revoking_lists_every_certificate_of_the_gateway_and_no_other(authority: Path) -> None:
    for _ in range(2):
        done("gateway-certificate", authority, "batua-01")
        (authority / "gateways" / "batua-01.pem").unlink()
    done("gateway-certificate", authority, "batua-02")
    done("revoke", authority, "batua-01")
    listed = openssl("crl", "-in", authority / "crl.pem", "-noout", "-text").count("Serial Number")
    assert listed == 2
    assert_refused("revoke", 1, "batua-01 has no valid certificate", authority, "batua-01")


def signed_request(authority: Path, signer: str, name: str) -> bytes:
    """A request for ``name``, signed with the certificate of ``signer``."""
    key, request = authority / "new.key", authority / "new.csr"
    words = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key)
    openssl("req", "-new", *words, "-subj", f"/CN={name}", "-out", request)
    own = authority / "gateways" / f"{signer}.pem"
    pair = ("-signer", own, "-inkey", own.with_suffix(".key"))
    return openssl("cms", "-sign", "-binary", "-nodetach", "-in", request, *pair, "-outform", "PEM").encode()


def test_a_request_is_signed_for_the_gateway_that_made_it_whatever_name_stands_in_it(authority: Path) -> None:
    for name in ("batua-01", "batua-02"):
        done("gateway-certificate", authority, name)
    asked = signed_request(authority, "batua-01", "batua-02")
    refused = script("sign-request", authority, "batua-02", given=asked)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "signed by another gateway: CN=batua-01" in refused.stderr
    made = authority / "made.pem"
    made.write_text(script("sign-request", authority, "batua-01", given=asked).stdout)
    assert openssl("x509", "-in", made, "-noout", "-subject", "-nameopt", "RFC2253") == "subject=CN=batua-01\n"
    assert ends(made)[1] > datetime.now(UTC) + timedelta(days=820)
    openssl("verify", "-x509_strict", "-CAfile", authority / "ca.pem", "-purpose", "sslclient", made)
    done("revoke", authority, "batua-01")
    assert openssl("crl", "-in", authority / "crl.pem", "-noout", "-text").count("Serial Number") == 2
    refused = script("sign-request", authority, "batua-01", given=asked)
    assert (refused.returncode, "certificate revoked" in refused.stderr) == (1, True)


def test_a_request_of_nobody_or_of_another_city_is_not_signed(authority: Path, tmp_path: Path) -> None:
    done("gateway-certificate", authority, "batua-01")
    other = tmp_path / "other"
    done("ca", other)
    done("gateway-certificate", other, "batua-01")
    plain = (other / "new.csr", signed_request(other, "batua-01", "batua-01"))
    book = (authority / "index.txt").read_bytes()
    for given in (plain[1], plain[0].read_bytes(), b"", b"x" * 70_000):
        refused = script("sign-request", authority, "batua-01", given=given)
        assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
    assert (authority / "index.txt").read_bytes() == book


def test_an_account_gets_a_password_that_stands_only_in_its_file(etc: Path, tmp_path: Path) -> None:
    file = tmp_path / PASSWORD
    out = done("account", etc, "subscriber.gis", file)
    password = file.read_text().strip()
    assert len(password) == 36
    assert file.stat().st_mode & 0o777 == 0o600
    assert password not in out
    (line,) = (etc / "gardu.passwords").read_text().splitlines()
    assert line.startswith("subscriber.gis:$7$")
    assert password not in line


def test_an_account_gets_the_block_of_its_role_and_the_shipped_ones_stay(etc: Path, tmp_path: Path) -> None:
    before = (etc / "gardu.acl").read_text()
    done("account", etc, "maintainer.ani", tmp_path / "ani.password")
    after = (etc / "gardu.acl").read_text()
    block = before[before.index("user maintainer.example") :]
    assert after == before + block.replace("maintainer.example", "maintainer.ani")


def test_an_account_that_is_there_keeps_its_password(etc: Path, tmp_path: Path) -> None:
    done("account", etc, "subscriber.gis", tmp_path / PASSWORD)
    before = contents(tmp_path)
    assert_refused("account", 1, "already exists", etc, "subscriber.gis", tmp_path / "second")
    assert_refused("account", 1, "already exists", etc, "subscriber.web", tmp_path / PASSWORD)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "bad",
    [
        "gis",
        "batua-01",
        "subscriber",
        "subscriber.",
        "root.gis",
        "subscriber.a.b",
        "subscriber.A",
        "subscriber.a:b",
        "subscriber.example",
        "subscriber.+",
        "maintainer.a/b",
        ".gis",
    ],
)
def test_a_bad_account_name_is_refused(etc: Path, tmp_path: Path, bad: str) -> None:
    assert_refused("account", 2, "is not a valid account name", etc, bad, tmp_path / PASSWORD)
    assert not (tmp_path / PASSWORD).exists()


def test_an_account_where_there_is_no_broker_is_refused(tmp_path: Path) -> None:
    assert_refused("account", 1, "does not exist", tmp_path, "subscriber.gis", tmp_path / PASSWORD)
