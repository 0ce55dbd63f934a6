"""gardu check, with the real drivers: its lines, its status, and the files that the project shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.base.i18n import choose_language
from agent.cli import main
from agent.config.io.catalog import Catalog
from agent.config.parse import parse

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "config").glob("*.toml"))
SHOWN = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", ROOT / "docs" / "configuration.md")
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL))
]

WRONG = """
[gateway]
id = "Batua 01"
site = "batua"
sector = "health"
[broker]
url = "mqtt://127.0.0.1"
[web]
listen = "127.0.0.1:8080"
[[sensor]]
id = "air-1"
driver = "sds01"
"""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    yield
    choose_language({})


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_right_to_the_last_key(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(file))}: OK, \d sensors\n", out)
    assert err == ""


def test_there_is_an_example_for_each_kind_of_site() -> None:
    assert [file.stem for file in EXAMPLES] == ["bus-stop", "checkpoint", "clinic"]


@pytest.mark.parametrize("block", SHOWN)
def test_a_file_in_the_documentation_is_right(block: str) -> None:
    assert parse(block.encode(), Catalog()).problems == ()


def test_the_documentation_shows_files() -> None:
    assert len(SHOWN) >= 2


def test_every_problem_has_its_file_line_path_and_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gardu.toml"
    file.write_text(WRONG)
    assert main(["check", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'{file}:3: gateway.id: "Batua 01" is not allowed here '
        "(a-z, 0-9 and -, at most 32 characters, not starting with -)",
        f'{file}:12: sensor.air-1.driver: unknown driver "sds01" (did you mean sds011?)',
        f"{file}:9: web.listen: warning: this key has no effect yet",
    ]


def test_warnings_alone_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gardu.toml"
    file.write_text((ROOT / "config" / "clinic.toml").read_text("utf-8") + '[web]\nlisten = "127.0.0.1:8080"\n')
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{file}: OK, 8 sensors\n"
    line = len(file.read_text("utf-8").splitlines())
    assert err == f"{file}:{line}: web.listen: warning: this key has no effect yet\n"


def test_json_is_alone_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gardu.toml"
    file.write_text(WRONG)
    assert main(["check", "--json", str(file)]) == 1
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert result["ok"] is False
    keys = ("level", "code", "path", "line")
    assert [tuple(problem[key] for key in keys) for problem in result["problems"]] == [
        ("error", "pattern", "gateway.id", 3),
        ("error", "unknown_driver", "sensor.air-1.driver", 12),
        ("warning", "no_effect", "web.listen", 9),
    ]


@pytest.mark.parametrize(("name", "why"), [("none.toml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_line(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / name}: {why}\n"


def test_a_profile_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "fog.toml").write_text("name = ")
    text = (ROOT / "config" / "clinic.toml").read_text("utf-8").replace('"mhz19"', '"fog"')
    (problem,) = parse(text.encode(), Catalog(local=tmp_path)).problems
    assert (problem.path, problem.code) == ("sensor.waiting-co2.driver", "broken_driver")
    assert "fog.toml" in problem.message
    assert "fog.toml:1: line 1, column 8" in problem.message
    assert problem.line


GENERIC = """
[gateway]
id = "batua-01"
site = "batua"
sector = "health"
[broker]
url = "mqtt://127.0.0.1"
[[sensor]]
id = "tank-1"
driver = "serial_frame"
port = "/dev/ttyUSB0"
[sensor.frame]
sync = "A5 5A"
length = 7
[sensor.fields]
level = { at = 2, type = "u16be", unit = "mm" }
[[sensor.rule]]
quality = "bad:power"
when = { level = 0 }
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ('sync = "A5 5A"', 'sinc = "A5 5A"', 13, "sensor.tank-1.frame.sinc"),
        ("length = 7", "", 12, "sensor.tank-1.frame.length"),
        ("length = 7", "length = 3", 14, "sensor.tank-1.frame.length"),
        ("[sensor.frame]", "[sensor.fram]", 12, "sensor.tank-1.fram"),
        ("[sensor.fields]", "[sensor.field]", 15, "sensor.tank-1.field"),
        ('"u16be"', '"u16"', 16, "sensor.tank-1.fields.level.type"),
        ("at = 2, ", "", 16, "sensor.tank-1.fields.level.at"),
        ("level = {", "t = {", 16, "sensor.tank-1.fields.t"),
        ("bad:power", "bad:mood", 18, "sensor.tank-1.rule[0].quality"),
        ("when = { level", "when = { levle", 19, "sensor.tank-1.rule[0].when.levle"),
        ('driver = "', 'drivr = "', 10, "sensor.tank-1.drivr"),
    ],
)
def test_a_typing_error_in_the_tables_of_a_generic_driver_is_a_problem_with_its_line(
    old: str, new: str, line: int, path: str
) -> None:
    assert parse(GENERIC.encode(), Catalog()).problems == ()
    problems = parse(GENERIC.replace(old, new, 1).encode(), Catalog()).problems
    assert [(problem.line, problem.path) for problem in problems[:1]] == [(line, path)]
    assert len(problems) == 1 or new.startswith("t =")


PROFILE = (ROOT / "drivers" / "profiles" / "mhz19.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ('kind = "serial_frame"', 'kind = "serial_frames"', 4, "kind"),
        ("period_s = 5.0", "periods = 5.0", 5, "periods"),
        ('sum = "sum8_neg"', 'sum = "sum9"', 9, "frame.check.sum"),
        ("max = 10000 }", "max = -1 }", 12, "fields.co2.min"),
        ("[410, 500]", "[410, {}]", 20, "rule[1].when.co2[1]"),
        ("values = { co2", "values = { co", 60, "sim.values.co"),
    ],
)
def test_a_typing_error_in_a_profile_is_a_problem_with_its_line(
    old: str, new: str, line: int, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mhz19.toml"
    file.write_text(PROFILE)
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: OK, a profile with 1 fields\n"
    file.write_text(PROFILE.replace(old, new, 1))
    assert main(["check", str(file)]) == 1
    (problem,) = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"{file}:{line}: {path}: ")


def test_a_profile_has_the_name_of_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.toml"
    file.write_text(PROFILE)
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err == f"{file}:1: name: a profile must have the name of its file, other\n"


def test_problems_of_the_driver_kit_are_indonesian_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mhz19.toml"
    file.write_text(PROFILE.replace("length = 9", "length = 0"))
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    assert main(["check", str(file)]) == 1
    assert "frame.length: 0 di luar " in capsys.readouterr().err
