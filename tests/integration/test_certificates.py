"""A gateway's certificate is renewed over MQTT, and nothing that goes wrong with it leaves the gateway offline."""

import asyncio
import re
import shlex
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.fleet.io import signing_key
from tests.integration.certificate_post import Post, serial
from tests.support.agent_process import GATEWAY, ROOT, gardu
from tests.support.maintainers_page import run_block
from tests.support.mosquitto import until
from tests.support.pki import Authority


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    post = Post(tmp_path)
    with post.city, post.recorder:
        async with post.agent:
            await post.back()
            yield post


async def test_a_renewed_certificate_is_used_from_then_on_and_its_key_is_seen_by_nobody(post: Post) -> None:
    old = serial(post.cert)
    status, out, err = await post.renew()
    assert (status, err) == (0, "")
    assert re.fullmatch(r"pos-1: renewed, valid until 20\d\d-\d\d-\d\dT.*\n", out)
    await post.back()
    renewed = post.certificates / "renewed.pem"
    assert {one.name for one in post.certificates.iterdir()} == {"renewed.pem", "ends"}
    assert renewed.stat().st_mode & 0o777 == 0o600
    assert post.certificates.stat().st_mode & 0o777 == 0o700
    assert serial(renewed) != old
    assert post.recorder.events("certificate_renewed") != []
    # The old one is worth nothing any more: whoever comes back has the new one.
    post.revoke(old)
    await post.back()
    await post.agent.kill()
    await post.agent.start()
    await post.back()
    status, out, err = await post.renew()
    assert (status, err) == (0, ""), "and is renewed by itself"
    await post.back()
    secret = renewed.read_text().split("PRIVATE KEY-----\n")[1].split("\n")[0]
    assert len(secret) == 64
    assert not any(secret.encode() in one.payload for one in post.recorder.messages)
    assert not any(secret in line for line in post.agent.lines)


async def test_what_was_configured_still_works_when_the_state_is_lost(post: Post) -> None:
    assert (await post.renew())[0] == 0
    await post.agent.stop()
    shutil.rmtree(post.agent.state)
    await post.agent.start()
    await post.back()


async def test_a_certificate_that_no_broker_takes_is_dropped_and_the_one_before_is_back(post: Post) -> None:
    stranger = Authority(post.folder, "stranger")
    sign = post.odd("right", stranger.certificate, post.folder / "stranger.key")
    status, out, err = await post.renew(sign)
    assert (status, out) == (1, "")
    assert err.startswith("pos-1: certificate: failed: not_accepted: ")
    assert len(err.splitlines()) == 1
    await post.back()
    assert not (post.certificates / "trial.pem").exists()
    assert post.recorder.events("certificate_refused") != []
    assert (await post.renew())[0] == 0
    await post.back()


async def test_one_that_was_revoked_meanwhile_is_dropped_too(post: Post) -> None:
    """Also: the gateway is not offline for it, and the next renewal begins from where it is."""
    key, pem = post.maintainer.key_file("command"), post.folder / "new.pem"
    signed = (await post.command("renew", key=key))["result"]["signed"]
    pem.write_text(post.signed(signed))
    before = serial(post.cert)
    post.revoke(serial(pem))
    await post.back()
    reply = await post.command("certificate", f"pem=@{pem}", key=key)
    assert (reply["status"], reply["result"]["code"]) == ("failed", "not_accepted")
    await post.back()
    assert serial(post.cert) == before
    assert (await post.renew())[0] == 0


async def test_killed_between_the_steps_it_is_online_again_and_the_renewal_goes_on_or_begins_anew(post: Post) -> None:
    key, pem = post.maintainer.key_file("command"), post.folder / "new.pem"
    signed = (await post.command("renew", key=key))["result"]["signed"]
    await post.agent.kill()
    await post.agent.start()
    await post.back()
    pem.write_text(post.signed(signed))
    # At the moment at which the new pair is there: on trial, or just taken.
    asking = gardu("command", GATEWAY, "certificate", f"pem=@{pem}", "--key", str(key), "--timeout", "3", *post.broker)
    waiting = asyncio.create_task(asking)
    await until(lambda: any((post.certificates / name).exists() for name in ("trial.pem", "renewed.pem")))
    await post.agent.kill()
    await waiting
    await post.agent.start()
    await post.back()
    await until(lambda: (post.certificates / "renewed.pem").exists())
    assert serial(post.certificates / "renewed.pem") == serial(pem)
    assert not (post.certificates / "trial.pem").exists()
    assert (await post.renew())[0] == 0
    await post.back()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("name", "this certificate is for pos-9, not for pos-1"),
        ("key", "does not belong to the key that was created here"),
        ("expired", "expired on"),
        ("early", "not valid before"),
        ("text", "cannot read the certificate"),
    ],
)
async def test_a_certificate_that_is_not_right_is_not_even_tried(post: Post, what: str, words: str) -> None:
    connected = post.agent.count("connected")
    status, _, err = await post.renew(post.odd(what, post.city.ca, post.city.authority / "ca.key"))
    assert (status, len(err.splitlines())) == (1, 1)
    assert words in err
    assert post.agent.count("connected") == connected
    assert not (post.certificates / "trial.pem").exists()


async def test_only_who_may_command_can_renew(post: Post) -> None:
    pem = post.folder / "new.pem"
    pem.write_bytes(post.cert.read_bytes())
    for words in (("renew",), ("certificate", f"pem=@{pem}")):
        reply = await post.command(*words)
        assert (reply["status"], reply["detail"]) == ("rejected", "it must be signed")
        reply = await post.command(*words, key=post.maintainer.key_file("config"))
        assert reply["status"] == "rejected"
    reply = await post.command("certificate", f"pem=@{pem}", key=post.maintainer.key_file("command"))
    assert (reply["status"], reply["result"]["code"]) == ("failed", "no_request")
    assert not post.certificates.exists() or {one.name for one in post.certificates.iterdir()} == {"ends"}


async def test_unsigned_is_refused_also_where_nothing_else_is_signed_and_without_trust_with_a_hint(
    tmp_path: Path,
) -> None:
    post = Post(tmp_path)
    (tmp_path / "trust.json").unlink()
    post.agent.file.write_text(post.agent.file.read_text() + "[commands]\nsigned = false\n")
    with post.city, post.recorder:
        async with post.agent:
            await post.back()
            reply = await post.command("renew")
            assert (reply["status"], reply["detail"]) == ("rejected", "it must be signed")
            status, _, err = await post.renew()
            assert status == 1
            assert "install trust.json" in err


async def test_what_the_technician_puts_in_later_is_used(post: Post) -> None:
    assert (await post.renew())[0] == 0
    await post.back()
    renewed_ms = await post.ends_ms()
    post.issue(days=400)
    await post.agent.stop()
    await post.agent.start()
    await post.back()
    assert await post.ends_ms() < renewed_ms - 300 * 86_400_000
    # One that cannot be used does not: the renewed one is still there.
    post.cert.write_text("no certificate\n")
    await post.agent.stop()
    await post.agent.start()
    await post.back()


async def test_days_left_are_told_and_a_near_end_once(tmp_path: Path) -> None:
    post = Post(tmp_path)
    post.issue(days=6)
    with post.city, post.recorder:
        async with post.agent:
            await until(lambda: post.recorder.events("certificate_expires") != [])
            await post.back()
            assert (await post.command("diagnostics"))["result"]["certificate"]["days"] in (5, 6)
            await post.agent.stop()
            await post.agent.start()
            await post.back()
            (event,) = post.recorder.events("certificate_expires")
            assert (event["sev"], event["days"] in (5, 6)) == ("warn", True)
            assert (await post.renew())[0] == 0
            await post.back()
            assert await post.ends_ms() > 1000 * (time.time() + 800 * 86_400)
            assert len(post.recorder.events("certificate_expires")) == 1
    assert "Traceback" not in "\n".join(post.agent.lines)


async def test_the_page_for_maintainers_renews_a_certificate(tmp_path: Path) -> None:
    post = Post(tmp_path, "batua-01")
    desk = tmp_path / "desk"
    desk.mkdir()
    (desk / "config").symlink_to(ROOT / "config")
    (desk / "ca").symlink_to(post.city.authority)
    shutil.copy(post.maintainer.key_file("command"), desk / "ayu.key")
    signing_key.create(desk / "budi.key")
    section = (ROOT / "docs" / "maintainers.md").read_text("utf-8").split("## Certificates")[1].split("\n## ")[0]
    ((script, shown),) = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", section, flags=re.DOTALL)
    with post.city, post.recorder:
        async with post.agent:
            await post.back()
            await run_block(script, shown, desk, shlex.join(post.broker).removeprefix("--broker "))
            await post.back()


async def test_a_broker_that_refuses_only_after_the_handshake_makes_no_difference(tmp_path: Path) -> None:
    """TLS 1.3: the gateway believes to be connected, and is then thrown out."""
    post = Post(tmp_path)
    conf = tmp_path / "etc/mosquitto/mosquitto.conf"
    conf.write_text(re.sub(r"^(tls_version|ciphers) .*$", r"", conf.read_text(), flags=re.MULTILINE))
    stranger = Authority(post.folder, "stranger")
    with post.city, post.recorder:
        async with post.agent:
            await post.back()
            status, _, err = await post.renew(post.odd("right", stranger.certificate, post.folder / "stranger.key"))
            assert (status, err.startswith("pos-1: certificate: failed: not_accepted: ")) == (1, True), err
            await post.back()
            assert (await post.renew())[0] == 0
            await post.back()
            assert post.agent.count("MQTT 5") == post.agent.count("connected, ")
