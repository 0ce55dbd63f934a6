"""The table [broker]: addresses and certificates."""

import pytest

from tests.agent.config.config_fakes import MINIMAL, found, warned

URL = "mqtts://broker.example:8883"


def _with(url: str) -> str:
    return MINIMAL.replace(URL, url)


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://a",
        "mqtts://a.example",
        "mqtt://10.0.0.1:1883",
        "mqtt://[2001:db8::1]:1883",
        "mqtts://[::1]",
        "mqtt://a:1/",
        "mqtt://a:65535",
        "mqtt://broker_1.puskesmas.example.",
        "mqtts://pemantauan-kesehatan.xn--bcher-kva.example",
        "mqtts://bücher.example",
        "mqtts://[::ffff:10.0.0.1]:8883",
        "mqtt://" + "a" * 63 + ".example",
    ],
)
def test_an_address_is_taken(url: str) -> None:
    assert found(_with(url)) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "pattern"),
        ("broker.example", "pattern"),
        ("http://a", "pattern"),
        ("mqtt://", "pattern"),
        ("mqtt://a b", "pattern"),
        ("mqtt://:1883", "url"),
        ("mqtt://a/topic", "url"),
        ("mqtt://2001:db8::1", "url"),
        ("mqtt://[2001:db8::1", "url"),
        ("mqtt://[]:1", "url"),
        ("mqtt://[zz::1]:1", "url"),
        ("mqtt://[::1]x", "url"),
        ("mqtt://..", "url"),
        ("mqtt://a..b", "url"),
        ("mqtt://.a", "url"),
        ("mqtt://a..", "url"),
        ("mqtt://" + "a" * 64, "url"),
        ("mqtt://" + "ü" * 60, "url"),
        ("mqtt://" + "a." * 130 + "a", "url"),
        ("mqtt://a\u2100b", "url"),
        ("mqtt://\u3002", "url"),
        ("mqtt://\u200b", "url"),
        ("mqtt://-a", "url"),
        ("mqtt://a%00b", "url"),
        ("mqtt://a?b", "url"),
        ("mqtt://a#b", "url"),
        ("mqtt://a,b", "url"),
        ("mqtt://10.0.0.256", "url"),
        ("mqtt://10.1", "url"),
        ("mqtt://[::1::]", "url"),
        ("mqtt://[1.2.3.4]", "url"),
        ("mqtt://[fe80::1%eth0]", "url"),
        ("mqtt://a//", "url"),
        ("mqtt://a:1883?x", "port"),
        ("mqtt://a:\u0661", "port"),
        ("mqtt://a:0", "port"),
        ("mqtt://a:65536", "port"),
        ("mqtt://a:", "port"),
        ("mqtt://a:x", "port"),
        ("mqtt://[::1]:70000", "port"),
        ("mqtt://user:secret@a", "userinfo"),
        ("mqtt://user@a:1883", "userinfo"),
    ],
)
def test_an_address_is_refused(url: str, code: str) -> None:
    assert found(_with(url)) == [("broker.url", code)]


def test_each_address_of_a_list_is_checked() -> None:
    several = MINIMAL.replace(f'"{URL}"', '["mqtt://a", "mqtt://a:0", 7]')
    assert found(several) == [("broker.url[2]", "type"), ("broker.url[1]", "port")]


def test_a_list_of_addresses_is_not_empty() -> None:
    assert found(MINIMAL.replace(f'"{URL}"', "[]")) == [("broker.url", "missing")]


def test_a_certificate_and_its_key_come_together() -> None:
    assert found(MINIMAL, 'cert_file = "c"') == [("broker.cert_file", "no_key_file")]
    assert found(MINIMAL, 'key_file = "k"') == [("broker.key_file", "no_cert_file")]
    assert found(MINIMAL, 'cert_file = "c"\nkey_file = "k"') == []


def test_certificates_without_tls_are_warned_about() -> None:
    lines = 'ca_file = "ca"\ncert_file = "c"\nkey_file = "k"'
    assert warned(_with("mqtt://a"), lines) == [("broker.ca_file", "no_tls"), ("broker.cert_file", "no_tls")]
    assert warned(MINIMAL, lines) == []


def test_a_user_name_without_a_password_is_right() -> None:
    assert found(MINIMAL, 'username = "city"') == []


LOGIN = 'username = "city"\npassword_file = "password"'


@pytest.mark.parametrize(
    "url", ["mqtt://broker.example", "mqtt://10.0.0.1:1883", "mqtt://[2001:db8::1]", "mqtt://127.a"]
)
def test_a_password_is_not_sent_unencrypted(url: str) -> None:
    assert found(_with(url), LOGIN) == [("broker.url", "plain_password")]
    assert found(_with(url), LOGIN + "\nallow_plain_password = true") == []
    assert found(_with(url), 'username = "city"') == []


def test_the_address_of_a_list_that_would_leak_the_password_is_named() -> None:
    several = MINIMAL.replace(f'"{URL}"', '["mqtts://a", "mqtt://b"]')
    assert found(several, LOGIN) == [("broker.url[1]", "plain_password")]


@pytest.mark.parametrize("url", ["mqtts://a", "mqtt://localhost:1883", "mqtt://127.0.0.1", "mqtt://[::1]:1883/"])
def test_a_password_goes_over_tls_or_stays_on_the_computer(url: str) -> None:
    assert found(_with(url), LOGIN) == []
