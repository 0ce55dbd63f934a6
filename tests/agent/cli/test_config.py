"""Keys, signatures, trust and plans, as a maintainer uses them."""

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.base.i18n import choose_language
from agent.base.io.clock import BUILD_MS
from agent.base.trusted_time import TrustedTime
from agent.cli import main
from agent.config.io.catalog import Catalog
from agent.update.io.signatures import run_verification
from agent.update.signed.acceptance import Accepted, examine
from agent.update.signed.trust import adopt
from agent.update.signed.version_mark import Mark
from tests.agent.update.signing_fakes import local_files, standing

CONFIG = """
[broker]
url = "mqtts://broker.example:8883"
[[sensor]]
id = "air-1"
driver = "sds011"
port = "/dev/ttyUSB0"
interval_s = 10
"""
LOCAL = '[gateway]\nid = "batua-01"\nsite = "batua"\nsector = "health"\n'


class Desk:
    """A maintainer's desk: a directory, and commands with what they print."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place = place
        self._capsys = capsys

    def __call__(self, *words: str, status: int = 0) -> tuple[str, str]:
        assert main(list(words)) == status
        return tuple(self._capsys.readouterr())  # type: ignore[return-value]

    def fails(self, *words: str) -> str:
        """The one line of a command that cannot do it."""
        out, err = self(*words, status=1)
        assert out == ""
        assert err.count("\n") == 1
        return err.strip()

    def write(self, name: str, text: str) -> str:
        (self.place / name).write_text(text)
        return name

    def read(self, name: str) -> bytes:
        return (self.place / name).read_bytes()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    yield Desk(tmp_path, capsys)
    choose_language({})


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of three maintainers, of whom two must sign, and of their first root."""
    place = tmp_path_factory.mktemp("office")
    keys = {name: str(place / name) for name in ("ayu", "budi", "citra")}
    for file in keys.values():
        assert main(["keygen", file]) == 0
    roles = [
        word for role in ("--root", "--config") for name in ("ayu", "budi") for word in (role, f"{keys[name]}.pub")
    ]
    two = ["--threshold", "root=2", "--threshold", "config=2", "--key", keys["ayu"], "--key", keys["budi"]]
    assert main(["trust", "create", str(place / "trust.json"), *roles, *two]) == 0
    (place / "batua.toml").write_text(CONFIG)
    return place


@pytest.fixture
def team(desk: Desk, office: Path) -> Desk:
    """A desk with a copy of those files."""
    shutil.copytree(office, desk.place, dirs_exist_ok=True)
    return desk


def test_a_key_pair_is_made_and_its_private_half_is_never_shown(desk: Desk) -> None:
    out, err = desk("keygen", "ayu")
    assert re.fullmatch(r"[0-9a-f]{64}\n", out)
    assert desk.read("ayu.pub").decode() == out
    assert (desk.place / "ayu").stat().st_mode & 0o777 == 0o600
    private = desk.read("ayu").decode().splitlines()[1]
    assert private not in out + err
    assert desk.fails("keygen", "ayu") == "ayu.pub already exists; a key is never overwritten"
    (desk.place / "ayu.pub").unlink()
    assert desk.fails("keygen", "ayu") == "ayu already exists; a key is never overwritten"
    assert private in desk.read("ayu").decode()


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


SIGN = ("config", "sign", "batua.toml", "--gateway", "batua-01", "--version", "4", "--key", "ayu", "--yes")


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
)  # fmt: skip
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
        (("config", "sign", "batua.toml", "--key", "ayu", "--version", "4"),
         "the following arguments are required: --gateway"),
        (("config", "sign", "batua.toml", "--key", "ayu", "--gateway", "batua-01"),
         "the following arguments are required: --version"),
        ((*SIGN, "--key", "none"), "none: No such file or directory"),
        ((*SIGN, "--key", "ayu.pub"), "ayu.pub: others can read this key: run chmod 600 ayu.pub"),
        ((*SIGN, "--days", "0"), "argument --days: invalid value: 0.0"),
        ((*SIGN, "--confirm-s", "0"), "confirm_s: not a valid configuration document"),
        ((*SIGN, "--gateway", "*"), "target.gateways[1]: a target must be a list of gateways"),
        ((*SIGN[:-4], "-4", "--key", "ayu", "--yes"), "version: not a valid configuration document"),
        (("trust", "show", "batua.toml"), "batua.toml: not valid JSON: Expecting value: line 2 column 2 (char 2)"),
        (("trust", "show", "none.json"), "none.json: No such file or directory"),
        (("trust", "create", "trust.json", "--root", "ayu.pub", "--config", "ayu.pub"),
         "trust.json already exists; existing roots are never overwritten"),
        (("trust", "create", "t.json", "--root", "ayu.pub"), "the following arguments are required: --config"),
        (("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--threshold", "root=2"),
         "the threshold of root must be between 1 and 1 (its number of keys), not 2"),
        (("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--threshold", "guest=2"),
         "argument --threshold: invalid value: guest=2"),
        (("trust", "create", "t.json", "--root", "batua.toml", "--config", "ayu.pub"),
         "batua.toml is not a public key (64 hexadecimal digits, as gardu keygen writes them)"),
        (("trust", "create", "t.json", "--root", "ayu.pub", "--config", "ayu.pub", "--key", "citra"),
         "citra is not a key of the role root, before or after the change"),
        (("trust", "add", "trust.json", "config", "ayu.pub"), "config already has the key {ayu}"),
        (("trust", "remove", "trust.json", "config", "citra.pub"), "config has no key {citra}"),
        (("trust", "remove", "trust.json", "config", "ayu.pub"),
         "the threshold of config must be between 1 and 1 (its number of keys), not 2"),
        (("trust", "rotate", "trust.json", "root", "ayu.pub", "budi.pub"), "root already has the key {budi}"),
        (("trust", "threshold", "trust.json", "root", "3"),
         "the threshold of root must be between 1 and 2 (its number of keys), not 3"),
        (("trust", "floor", "trust.json", "--", "-1"), "not a valid trust document"),
        (("trust", "renew", "trust.json", "--days", "1e9"), "argument --days: invalid value: 1000000000.0"),
        (("trust", "sign", "trust.json", "--key", "ayu"), "trust.json: every root is complete"),
    ],
)  # fmt: skip
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


def _versions(team: Desk) -> list[dict[str, object]]:
    out, _ = team("trust", "show", "trust.json", "--json")
    roots: list[dict[str, object]] = json.loads(out)
    return roots


def test_the_first_root_and_its_fingerprint(team: Desk) -> None:
    out, err = team("trust", "show", "trust.json")
    reached = asyncio.run(run_verification(adopt(team.read("trust.json")))).root
    groups = " ".join(reached.fingerprint[at : at + 4] for at in range(0, 32, 4))
    assert out.splitlines()[0].startswith("root 1, complete, expires ")
    assert out.splitlines()[1].strip() == groups
    assert [line.split(":")[0].split() for line in out.splitlines()[2:]] == [
        ["root", "2", "of", "2"],
        ["config", "2", "of", "2"],
        ["command", "2", "of", "2"],
    ]
    assert err == ""


def test_a_change_counts_once_the_old_and_the_new_keys_have_signed(team: Desk) -> None:
    _, err = team("trust", "rotate", "trust.json", "root", "ayu.pub", "citra.pub", "--key", "ayu")
    assert err.splitlines() == [
        "root 2 has 1 of 2 signatures by keys of root 1",
        "root 2 has 0 of 2 signatures by keys of root 2",
    ]
    assert asyncio.run(run_verification(adopt(team.read("trust.json")))).root.version == 1
    _, err = team("trust", "sign", "trust.json", "--key", "citra")
    assert err.splitlines()[1] == "root 2 has 1 of 2 signatures by keys of root 2"
    _, err = team("trust", "sign", "trust.json", "--key", "budi")
    assert err.startswith("root 2 is complete: ")
    assert asyncio.run(run_verification(adopt(team.read("trust.json")))).root.version == 2
    assert team.fails("trust", "rotate", "trust.json", "config", "ayu.pub", "citra.pub", "--key", "ayu").startswith(
        "ayu is not a key of the role root"
    )


def test_changes_to_a_root_that_is_not_complete_go_into_it_and_take_its_signatures(team: Desk) -> None:
    team("trust", "add", "trust.json", "config", "citra.pub", "--key", "ayu")
    _, err = team("trust", "threshold", "trust.json", "config", "3")
    assert err.splitlines()[0] == "root 2 has 0 of 2 signatures by keys of root 1"
    _, last = _versions(team)
    assert last["version"] == 2
    roles = last["roles"]
    assert isinstance(roles, dict)
    assert roles["config"] == {
        "keys": [team.read(f"{name}.pub").decode().strip() for name in ("ayu", "budi", "citra")],
        "threshold": 3,
    }


def test_every_step_makes_the_next_version(team: Desk) -> None:
    both = ("--key", "ayu", "--key", "budi")
    team("trust", "add", "trust.json", "command", "citra.pub", *both)
    team("trust", "remove", "trust.json", "command", _id(team, "ayu"), *both)
    team("trust", "threshold", "trust.json", "command", "2", *both)
    team("trust", "floor", "trust.json", "40", *both)
    team("trust", "renew", "trust.json", "--days", "30", *both)
    roots = _versions(team)
    assert [root["version"] for root in roots] == [1, 2, 3, 4, 5, 6]
    assert [root.get("floor") for root in roots] == [None, None, None, None, 40, None]
    out, _ = team("trust", "show", "trust.json")
    assert "the next configuration must have a version above 40" in out
    followed = asyncio.run(run_verification(adopt(team.read("trust.json"))))
    assert followed.root.version == 6
    assert followed.floor is not None
    assert followed.floor.version == 40


def _id(team: Desk, name: str) -> str:
    from agent.update.signed.dsse import key_id

    return key_id(bytes.fromhex(team.read(f"{name}.pub").decode()))


def _spoiled(change: Callable[[list[dict[str, object]]], object], team: Desk) -> str:
    team("trust", "renew", "trust.json", "--key", "ayu", "--key", "budi")
    team("trust", "renew", "trust.json", "--key", "ayu", "--key", "budi")
    roots = json.loads(team.read("trust.json"))
    change(roots)
    team.write("trust.json", json.dumps(roots))
    return team.fails("trust", "show", "trust.json")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda roots: roots.pop(1), "trust.json: [1]: root 3 does not follow root 1"),
        (lambda roots: roots[1].update(signatures=[]), "trust.json: [1]: not signed"),
        (lambda roots: roots[0].update(signatures=[]), "trust.json: [0]: not signed"),
        (lambda roots: roots.clear(), "trust.json: not a valid trust document"),
    ],
)
def test_a_trust_file_that_is_broken_before_its_end_is_not_worked_on(
    change: Callable[[list[dict[str, object]]], object], line: str, team: Desk
) -> None:
    assert _spoiled(change, team) == line


def test_a_plan_names_each_difference_and_what_begins_anew(team: Desk) -> None:
    team.write("gardu.toml", LOCAL + CONFIG + '[store]\ncommit_s = 1\n[[sensor]]\nid = "host"\ndriver = "system"\n')
    team.write(
        "new.toml", CONFIG.replace("10", "60") + '[[sensor]]\nid = "air-2"\ndriver = "pms5003"\nport = "/dev/ttyUSB1"\n'
    )
    team.write("local.toml", '[[sensor]]\nid = "air-2"\nlabel = "roof"\n')
    out, err = team("config", "plan", "gardu.toml", "new.toml")
    assert out.splitlines() == [
        "~ sensor.air-1.interval_s: 10 -> 60",
        '- sensor.host.driver = "system"',
        '+ sensor.air-2.driver = "pms5003"',
        '+ sensor.air-2.port = "/dev/ttyUSB1"',
        "sensors that restart: air-1, air-2",
        "the connection to the broker restarts",
    ]
    assert err == ""
    out, _ = team("config", "plan", "gardu.toml", "new.toml", "--local", "local.toml", "--json")
    plan = json.loads(out)
    assert plan["drift"] == ["sensor.air-2.label"]
    assert (plan["restarted"], plan["removed"], plan["reconnect"]) == (["air-1", "air-2"], ["host"], True)
    assert plan["changes"][0] == {"path": "sensor.air-1.interval_s", "old": 10, "new": 60}


def test_a_plan_of_an_envelope_and_of_nothing_new(team: Desk) -> None:
    team(*SIGN, "--out", "batua.json")
    out, _ = team("config", "plan", "batua.toml", "batua.json")
    assert out == "nothing changes\n"


def test_a_plan_of_what_cannot_be_used_says_so(team: Desk) -> None:
    team.write("new.toml", CONFIG.replace("sds011", "fog").replace("10", "0.5"))
    out, err = team("config", "plan", "batua.toml", "new.toml", status=1)
    assert "~ sensor.air-1.driver" in out
    assert err.splitlines()[-1] == "cannot use new.toml"


def test_a_plan_shows_no_password(team: Desk) -> None:
    team.write("new.toml", CONFIG.replace("broker.example", "ayu:s3cret@broker.example"))
    out, err = team("config", "plan", "batua.toml", "new.toml", status=1)
    assert "s3cret" not in out + err


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


def test_two_keys_must_sign_in_every_role_where_nothing_else_is_said(team: Desk) -> None:
    roles = {"root": ("ayu", "budi"), "config": ("ayu", "budi"), "command": ("ayu", "citra")}
    words = [word for role, names in roles.items() for name in names for word in (f"--{role}", f"{name}.pub")]
    create = ("trust", "create", "new.json", *words)
    _, err = team(*create)
    assert "warning" not in err
    made = json.loads(team("trust", "show", "new.json", "--json")[0])[0]["roles"]
    assert {name: role["threshold"] for name, role in made.items()} == {"root": 2, "config": 2, "command": 2}
    (team.place / "new.json").unlink()
    _, err = team(*create, "--threshold", "command=1")
    (line,) = (line for line in err.splitlines() if line.startswith("warning"))
    assert line == (
        "warning: one key of the role command is enough: whoever steals it can switch outputs, restart sensors and "
        "renew certificates where gateways allow it"
    )
