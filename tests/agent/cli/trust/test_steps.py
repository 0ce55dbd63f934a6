"""Keys that sign, and the roots that say which count, as a maintainer changes them."""

import asyncio
import json
import re
from collections.abc import Callable

import pytest

from agent.update.io.signatures import run_verification
from agent.update.signed.trust import adopt
from tests.agent.cli.desk import Desk


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
