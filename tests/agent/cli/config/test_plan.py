"""Plans: what a configuration would change, as a maintainer is shown it."""

import json

from tests.agent.cli.desk import CONFIG, LOCAL, SIGN, Desk


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
