from pathlib import Path

import pytest

from agent.cli import main


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")


def test_every_driver_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sds011 ") and "Nova SDS011" in line for line in lines)
    assert any(line.startswith("nmea0183 ") for line in lines)


def test_a_page_says_all_that_a_technician_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "mhz19"]) == 0

    page = capsys.readouterr().out
    for part in (
        "MH-Z19B",
        "source: Winsen",
        "3.3 V",
        "9600 baud, 8N1; polled every 5 s",
        "ppm",
        "three minutes",
    ):
        assert part in page
    assert '  driver = "mhz19"' in page


def test_a_page_lists_the_driver_s_own_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "system"]) == 0

    assert "path: str" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("pzem004t", ["Modbus RTU; 9600 baud, 8N1; unit 1, polled every 5 s"]),
        ("modbus_tcp", ["Modbus TCP; unit 1", "Tables\n  reads, fields"]),
        ("sht3x", ["Address\n  0x44, 0x45"]),
        ("rdm6300", ["sends when something happens", "tag      "]),
        ("wiegand", ["line_d0: str | int (required)", "as_is | pull_up", "published as a keyed hash"]),
        ("ld2450", ["never published", "Tables\n  zones"]),
    ],
)
def test_a_page_says_how_a_device_is_reached(name: str, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", name]) == 0

    page = capsys.readouterr().out
    assert [part for part in parts if part not in page] == []
    assert "\n\n\n" not in page
    assert not [line for line in page.splitlines() if line != line.rstrip()]


def test_an_unknown_name_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "mhz91"]) == 2

    assert capsys.readouterr().err == "unknown driver mhz91; did you mean mhz19?\n"


def test_a_broken_profile_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.toml").write_text("name = ")

    assert main(["drivers", "--profiles", str(tmp_path)]) == 1

    printed = capsys.readouterr()
    assert "sds011" in printed.out
    assert "invalid profile: " in printed.err
    assert "broken.toml:1: line 1, column 8" in printed.err


def test_a_page_can_be_read_in_indonesian(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")

    assert main(["drivers", "sds011"]) == 0
    assert "Perhatikan" in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "C")
    main(["drivers", "sds011"])
