"""Keys, signatures, trust and plans, as a maintainer uses them."""

import asyncio
import re

import pytest

from agent.base.io.clock import BUILD_MS
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.config.io.catalog import Catalog
from agent.update.io.signatures import run_verification
from agent.update.signed.acceptance import Accepted, examine
from agent.update.signed.trust import adopt
from agent.update.signed.version_mark import Mark
from tests.agent.cli.desk import CONFIG, LOCAL, SIGN, Desk
from tests.agent.update.signing_fakes import local_files, standing


def _gateway_takes(team: Desk, name: str) -> Accepted:
    """What a gateway with the team's trust file makes of an envelope."""
    trust = asyncio.run(run_verification(adopt(team.read("trust.json")))).root
    at = standing(trust=trust, mark=Mark(3), trusted_time=TrustedTime(0, False, BUILD_MS))
    files = local_files(base={"gateway": {"id": "batua-01", "site": "batua", "sector": "health"}})
    result = asyncio.run(run_verification(examine(team.read(name), at, files, Catalog())))
    assert isinstance(result, Accepted)
    return result


def test_a_configuration_that_two_maintainers_sign_one_after_the_other_is_taken(team: Desk) -> None:
    more = ("--days", "9", "--confirm-s", "60", "--min-agent", "0.1", "--out", "batua.json")
    out, err = team(*SIGN, *more)
    assert out == ""
    assert re.fullmatch(r"version 4 for batua-01, valid until \S+Z; signatures: 1", err.splitlines()[-1])
    out, err = team("config", "sign", "batua.json", "--key", "budi", "--yes")
    assert err.endswith("signatures: 2\n")
    team.write("batua.json", out)
    document = _gateway_takes(team, "batua.json").document
    assert (document.version, document.confirm_s, document.min_agent) == (4, 60, "0.1")
    assert document.expires_ms - document.issued_ms == 9 * 86_400_000


def test_the_same_key_adds_its_signature_once(team: Desk) -> None:
    team(*SIGN, "--out", "batua.json")
    before = team.read("batua.json")
    team("config", "sign", "batua.json", "--key", "ayu", "--out", "batua.json", "--yes")
    assert team.read("batua.json") == before


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[broker", r"batua.toml: Expected ']' at the end of a table declaration (at end of document)"),
        (
            LOCAL + CONFIG,
            "batua.toml: gateway can only be set in the gateway's own files; use --without-local to omit them",
        ),
        (CONFIG + "since = 2026-11-24\n", "batua.toml is invalid; nothing was signed"),
        (CONFIG.replace("sds011", "ds18b20"), "batua.toml is invalid; nothing was signed"),
        (CONFIG.replace("10", "-10"), "batua.toml is invalid; nothing was signed"),
    ],
)
def test_what_no_gateway_would_take_is_not_signed(text: str, line: str, team: Desk) -> None:
    team.write("batua.toml", text)
    out, err = team(*SIGN, status=1)
    assert out == ""
    assert err.splitlines()[-1] == line


def test_every_problem_is_told_before_nothing_is_signed(team: Desk) -> None:
    team.write("batua.toml", CONFIG.replace("10", "-10") + "[publish]\nspeed = 1\n")
    _, err = team(*SIGN, status=1)
    assert [line.split(": ")[1] for line in err.splitlines()[:-1]] == ["publish.speed", "sensor.air-1.interval_s"]


def test_a_driver_that_only_the_gateway_has_is_a_warning(team: Desk) -> None:
    team.write("batua.toml", CONFIG.replace("sds011", "fog"))
    _, err = team(*SIGN)
    assert "sensor.air-1.driver" in err
    assert "signatures: 1" in err


def test_the_local_part_can_be_left_out(team: Desk) -> None:
    team.write("batua.toml", LOCAL + CONFIG)
    team(*SIGN, "--key", "budi", "--without-local", "--out", "batua.json")
    assert "gateway" not in _gateway_takes(team, "batua.json").document.config


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("config", "sign", "none.toml", "--key", "ayu"), "none.toml: No such file or directory"),
        (
            ("config", "sign", "batua.toml", "--key", "ayu", "--version", "4"),
            "the following arguments are required: --gateway",
        ),
        (
            ("config", "sign", "batua.toml", "--key", "ayu", "--gateway", "batua-01"),
            "the following arguments are required: --version",
        ),
        ((*SIGN, "--key", "none"), "none: No such file or directory"),
        ((*SIGN, "--key", "ayu.pub"), "ayu.pub: others can read this key: run chmod 600 ayu.pub"),
        ((*SIGN, "--days", "0"), "argument --days: invalid value: 0.0"),
        ((*SIGN, "--confirm-s", "0"), "confirm_s: not a valid configuration document"),
        ((*SIGN, "--gateway", "*"), "target.gateways[1]: a target must be a list of gateways"),
        ((*SIGN[:-4], "-4", "--key", "ayu", "--yes"), "version: not a valid configuration document"),
        (("trust", "show", "batua.toml"), "batua.toml: not valid JSON: Expecting value: line 2 column 2 (char 2)"),
        (("trust", "show", "none.json"), "none.json: No such file or directory"),
        (
            ("trust", "create", "trust.json", "--root", "ayu.pub", "--config", "ayu.pub"),
            "trust.json already exists; existing roots are never overwritten",
        ),
        (("trust", "create", "t.json", "--root", "ayu.pub"), "the following arguments are required: --config"),
        (
            ("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--threshold", "root=2"),
            "the threshold of root must be between 1 and 1 (its number of keys), not 2",
        ),
        (
            ("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--threshold", "guest=2"),
            "argument --threshold: invalid value: guest=2",
        ),
        (
            ("trust", "create", "t.json", "--root", "batua.toml", "--config", "ayu.pub"),
            "batua.toml is not a public key (64 hexadecimal digits, as gardu keygen writes them)",
        ),
        (
            ("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--key", "citra"),
            "citra is not a key of the role root, before or after the change",
        ),
        (("trust", "add", "trust.json", "config", "ayu.pub"), "config already has the key {ayu}"),
        (("trust", "remove", "trust.json", "config", "citra.pub"), "config has no key {citra}"),
        (
            ("trust", "remove", "trust.json", "config", "ayu.pub"),
            "the threshold of config must be between 1 and 1 (its number of keys), not 2",
        ),
        (("trust", "rotate", "trust.json", "root", "ayu.pub", "budi.pub"), "root already has the key {budi}"),
        (
            ("trust", "threshold", "trust.json", "root", "3"),
            "the threshold of root must be between 1 and 2 (its number of keys), not 3",
        ),
        (("trust", "floor", "trust.json", "--", "-1"), "not a valid trust document"),
        (("trust", "renew", "trust.json", "--days", "1e9"), "argument --days: invalid value: 1000000000.0"),
        (("trust", "sign", "trust.json", "--key", "ayu"), "trust.json: every root is complete"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(words: tuple[str, ...], line: str, team: Desk) -> None:
    from agent.update.signed.dsse import key_id

    ids = {name: key_id(bytes.fromhex(team.read(f"{name}.pub").decode())) for name in ("ayu", "budi", "citra")}
    before = {file.name: file.read_bytes() for file in team.place.iterdir()}
    assert team.fails(*words) == line.format_map(ids)
    assert {file.name: file.read_bytes() for file in team.place.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["config"], "gardu config: the following arguments are required: ACTION (gardu config --help)"),
        (["config", "fly"], "gardu config: argument ACTION: invalid choice: 'fly' (choose from "),
        (["keygen"], "gardu keygen: the following arguments are required: FILE (gardu keygen --help)"),
        (
            ["config", "sign", "x"],
            "gardu config sign: the following arguments are required: --key (gardu config sign --help)",
        ),
        (["trust"], "gardu trust: the following arguments are required: ACTION (gardu trust --help)"),
        (
            ["trust", "add", "t", "guest", "p"],
            "gardu trust add: argument ROLE: invalid choice: 'guest' (choose from ",
        ),
        (["trust", "threshold", "t", "root", "x"], "gardu trust threshold: argument NUMBER: invalid int value: 'x'"),
        (
            ["config", "plan", "x"],
            "gardu config plan: the following arguments are required: NEW (gardu config plan --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words: list[str], line: str, desk: Desk) -> None:
    _, err = desk(*words, status=2)
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_what_is_signed_is_shown_value_by_value_and_secrets_never(team: Desk) -> None:
    team.write("running.toml", LOCAL + CONFIG + '[[sensor]]\nid = "host"\ndriver = "system"\n')
    new = CONFIG.replace('"mqtts://broker.example:8883"', '["mqtts://a:s3cret@evil.example", "mqtts://b"]').replace(
        "10", "5"
    )
    team.write("batua.toml", new + f'label = "{"x" * 300}"\n')
    _, err = team(*SIGN, "--running", "running.toml", status=1)
    assert "s3cret" not in err
    team.write("batua.toml", new.replace("a:s3cret@", "") + f'label = "{"x" * 300}\\u202e"\n')
    _, err = team(*SIGN, "--running", "running.toml")
    lines = err.splitlines()
    assert lines[1:6] == [
        "compared with running.toml:",
        '~ broker.url: "mqtts://broker.example:8883" -> ["mqtts://evil.example", "mqtts://b"]',
        "~ sensor.air-1.interval_s: 10 -> 5",
        lines[4],
        '- sensor.host.driver = "system"',
    ]
    assert lines[4].startswith('+ sensor.air-1.label = "xxxx')
    assert "SHA-256" in lines[4]
    assert lines[6] == "sensors that restart: air-1"


def test_without_a_source_everything_is_new(team: Desk) -> None:
    _, err = team(*SIGN)
    assert err.splitlines()[1].endswith("showing everything as new")
    assert "+ sensor.air-1.interval_s = 10" in err


def test_nobody_signs_unasked(team: Desk) -> None:
    out, err = team(*SIGN[:-1], status=2)
    assert out == ""
    assert err.splitlines()[-1] == "gardu config sign: no terminal to ask for confirmation: use --yes to sign"
