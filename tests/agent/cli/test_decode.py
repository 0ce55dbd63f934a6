import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import main
from drivers.sim.encoders import BME280_CALIBRATION, bme280_values

SDS011 = "AA C0 D4 04 3A 0A A1 60 1D AB"
DUST = {"fields": {"pm2_5": 123.6, "pm10": 261.8}, "q": {}}


class Decoding:
    """``gardu decode`` in this process, its standard input a pipe."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, raw: bytes, *words: str) -> tuple[int, list[object], str]:
        """Exit status, the lines as values, and standard error."""
        reading, writing = os.pipe()
        os.write(writing, raw)
        os.close(writing)
        with io.TextIOWrapper(os.fdopen(reading, "rb")) as stdin:
            self._monkeypatch.setattr(sys, "stdin", stdin)
            status = main(["decode", *words])
        printed = self._capsys.readouterr()
        return status, [json.loads(line) for line in printed.out.splitlines()], printed.err


@pytest.fixture
def decode(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Decoding:
    monkeypatch.setenv("LC_ALL", "C")
    return Decoding(monkeypatch, capsys)


def test_bytes_are_decoded(decode: Decoding) -> None:
    assert decode(bytes.fromhex(SDS011) * 2, "sds011") == (0, [DUST, DUST], "")


@pytest.mark.parametrize("text", [SDS011, SDS011.lower().replace(" ", ""), "\n" + SDS011.replace(" ", "\r\n\t") + "\n"])
def test_hexadecimal_may_be_spaced_in_any_way(text: str, decode: Decoding) -> None:
    assert decode(text.encode(), "sds011", "--hex") == (0, [DUST], "")


def test_a_digit_pair_may_be_split_between_rows_of_one_stream(decode: Decoding) -> None:
    assert decode(SDS011.encode().replace(b"D4", b"D\n4"), "sds011", "--hex") == (0, [DUST], "")


def test_a_failed_check_is_said_and_noise_is_not(decode: Decoding) -> None:
    status, lines, _ = decode(b"00 11 AA C0 D4 04 3A 0A A1 60 00 AB 22" + SDS011.encode(), "sds011", "--hex")

    assert (status, lines) == (0, [{"rejected": "checksum"}, DUST])


def test_a_bad_value_is_null_with_its_reason(decode: Decoding) -> None:
    _, lines, _ = decode(b"FF 00 00 FF", "a02yyuw", "--hex")

    assert lines == [{"fields": {"distance": None}, "q": {"distance": "bad:range"}}]


def test_text_needs_no_end_of_line(decode: Decoding) -> None:
    _, lines, _ = decode(b"ST,GS,+  12.34kg", "cas_scale")

    assert lines == [{"fields": {"weight": 12.34, "stable": True}, "q": {}}]


def hexadecimal(raw: bytes) -> str:
    return raw.hex(" ").upper()


VALUES = bme280_values({"temp": 28.4, "rh": 71.0, "pressure": 1008.5})
ROOM = {"fields": {"temp": 28.4, "rh": 71.0, "pressure": 1008.5}, "q": {}}


@pytest.mark.parametrize("words", [("bme280",), ("bme280", "--hex")])
def test_the_parts_of_an_i2c_answer_are_json(words: tuple[str, ...], decode: Decoding) -> None:
    parts = json.dumps([hexadecimal(BME280_CALIBRATION), hexadecimal(VALUES)])

    assert decode(parts.encode(), *words) == (0, [ROOM], "")
    assert decode(f"{parts}\n{parts}\n".encode(), *words) == (0, [ROOM, ROOM], "")


def test_a_bmp280_sold_as_a_bme280_has_no_humidity(decode: Decoding) -> None:
    parts = json.dumps([hexadecimal(BME280_CALIBRATION[:24]), hexadecimal(VALUES[:6])])

    assert decode(parts.encode(), "bme280") == (0, [{"fields": {"temp": 28.4, "pressure": 1008.5}, "q": {}}], "")


@pytest.mark.parametrize("text", [b'["00"]', b'["00", "00"]', b"[]"])
def test_parts_of_another_form_are_said_in_one_line(text: bytes, decode: Decoding) -> None:
    assert decode(text, "bme280") == (
        2,
        [],
        "bme280 expects its input in another form: see gardu drivers bme280\n",
    )


def test_an_i2c_answer_of_one_part_is_bytes_or_hexadecimal(decode: Decoding) -> None:
    read = "67 2C 81 92 4B C2"
    meant = (0, [{"fields": {"temp": 25.529, "rh": 57.147}, "q": {}}], "")

    assert decode(read.encode(), "sht3x", "--hex") == meant
    assert decode(bytes.fromhex(read), "sht3x") == meant
    assert decode(b"[" + bytes(5), "sht3x") == (0, [{"rejected": "crc"}], "")


def test_a_card_is_printed_plain_and_once(decode: Decoding) -> None:
    tag = "02 36 37 30 30 33 42 35 31 43 36 43 42 03"

    assert decode(tag.encode(), "rdm6300", "--hex") == (0, [{"fields": {"tag": 3887558, "version": 103}, "q": {}}], "")


def test_edges_are_json(decode: Decoding) -> None:
    edges = b'[[0.0, "A", 1], [0.2, "B", 1], [0.4, "A", 0], [0.6, "B", 0]]'

    assert decode(edges, "dual_beam") == (0, [{"fields": {"in": 1, "out": 0, "aborted": 0}, "q": {}}], "")


def test_a_driver_without_its_tables_is_said_to_be_nothing(decode: Decoding) -> None:
    status, lines, error = decode(b"1,2\n", "serial_line")

    assert (status, lines) == (2, [])
    assert "serial_line works only with its tables" in error


def test_no_input_is_no_failure(decode: Decoding) -> None:
    assert decode(b"", "sds011") == (0, [], "")


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"AA C0\nD4 xyz", "input line 2 is not hexadecimal: 'xyz'"), (b"AA C", "odd number of digits")],
)
def test_what_is_not_hexadecimal_is_said_in_one_line(text: bytes, words: str, decode: Decoding) -> None:
    status, lines, error = decode(text, "sds011", "--hex")

    assert (status, lines) == (2, [])
    assert words in error
    assert error.count("\n") == 1


def test_an_unknown_driver_is_said_with_its_neighbours(decode: Decoding) -> None:
    status, lines, error = decode(b"", "sds01")

    assert (status, lines) == (2, [])
    assert error.startswith("unknown driver sds01; did you mean sds011")


def test_a_profile_of_one_s_own_can_be_tried(tmp_path: Path, decode: Decoding) -> None:
    (tmp_path / "probe.toml").write_text(
        'name = "probe"\ntitle = "x"\nsource = "x"\nkind = "serial_frame"\n'
        'frame = { sync = "AA", length = 2 }\n[fields]\nlevel = { at = 1, type = "u8" }\n'
    )

    status, lines, _ = decode(b"\xaa\x07", "probe", "--profiles", str(tmp_path))

    assert (status, lines) == (0, [{"fields": {"level": 7}, "q": {}}])


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    program = "import sys; from agent.cli import main; sys.exit(main(['decode', 'sds011']))"
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdin.write(bytes.fromhex(SDS011))
    running.stdin.flush()
    assert json.loads(running.stdout.readline()) == DUST
    running.stdout.close()
    running.stdin.write(bytes.fromhex(SDS011) * 10)
    running.stdin.close()

    assert running.wait(10) == 0
    assert running.stderr.read() == b""
    running.stderr.close()
