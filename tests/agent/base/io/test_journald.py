"""Lines as journald gets them, at a real socket in its place."""

import logging
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.base.codes import log_extra
from agent.base.io import journald
from agent.base.io.journald import JournalHandler, RateLimitFilter
from agent.base.io.log_rate_limit import LogRateLimit


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("agent.test")
    logger.addHandler(handler)
    return logger


def _fields(raw: bytes) -> dict[str, str]:
    """Read the protocol: NAME=value, or NAME, eight bytes of length, and a value of any bytes."""
    fields: dict[str, str] = {}
    while raw:
        line, _, rest = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        raw = rest
    return fields


def test_each_line_has_its_level_its_sensor_and_its_code(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald,
        closing(JournalHandler(tmp_path / "socket")) as handler,
    ):
        journald.bind(str(tmp_path / "socket"))
        journald.settimeout(5)
        logger = _logger(handler)
        logger.warning("air-1: %s", "no port", extra=log_extra("port", "air-1"))
        logger.error("two\nlines = one message", extra=log_extra("store_full"))
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("it failed")
        first, second, third = (_fields(journald.recv(10_000)) for _ in range(3))
    assert first == {
        "MESSAGE": "air-1: no port",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "gardu",
        "LOGGER": "agent.test",
        "CODE": "port",
        "SENSOR": "air-1",
    }
    assert (second["MESSAGE"], second["PRIORITY"], second["CODE"]) == ("two\nlines = one message", "3", "store_full")
    assert "SENSOR" not in second
    assert third["MESSAGE"].startswith("it failed\nTraceback")
    assert third["MESSAGE"].endswith("ValueError: why")


def test_a_line_that_journald_does_not_take_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(JournalHandler(tmp_path / "nobody")) as handler:
        _logger(handler).warning("no port")
    assert capsys.readouterr().err == "<4>no port\n"


def test_a_storm_of_lines_is_ten_and_a_number(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0

    class Budget(LogRateLimit):
        def allows(self, kind: object, _: float) -> tuple[bool, int]:
            return super().allows(kind, now_s)

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    handler.addFilter(RateLimitFilter(Budget()))
    logger = _logger(handler)

    def storm(number: int) -> None:
        for _ in range(number):
            for name in ("a", "b"):
                logger.warning("%s: %s", name, "no port", extra=log_extra("port", name))

    storm(100)
    assert lines == ["a: no port", "b: no port"] * 10
    lines.clear()
    now_s = 61.0
    storm(1)
    assert lines == [f"{name}: no port (90 similar lines were not logged)" for name in "ab"]


def test_the_journal_is_known_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        here = (tmp_path / "err").stat()
        assert journald._is_journal(f"{here.st_dev}:{here.st_ino}")
        assert not journald._is_journal(f"{here.st_dev}:{here.st_ino + 1}")
        assert not journald._is_journal("")


def test_a_line_in_the_journal_is_the_message_alone(tmp_path: Path) -> None:
    handler = JournalHandler(tmp_path / "socket")
    root, before = logging.getLogger("only-here"), logging.root
    try:
        logging.root = root  # type: ignore[assignment]
        logging.basicConfig(handlers=[handler])
    finally:
        logging.root = before
        root.removeHandler(handler)
    record = logging.makeLogRecord({"msg": "air-1: no port", "levelname": "WARNING", "name": "agent.sensing.runner"})
    assert handler.format(record) == "air-1: no port"
    handler.close()
