"""The kernel's 1-Wire files, in a folder of the test."""

from pathlib import Path

import pytest

from agent.sensing.io.onewire import W1Files

DEVICE = "28-0316a2795cff"
TEXT = b"72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"


def test_a_device_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / DEVICE).mkdir()
    (tmp_path / DEVICE / "w1_slave").write_bytes(TEXT)
    files = W1Files(tmp_path)
    assert files.read(DEVICE) == TEXT
    (tmp_path / DEVICE / "w1_slave").write_bytes(TEXT.replace(b"72", b"73"))
    assert files.read(DEVICE) == TEXT.replace(b"72", b"73"), "each reading is a new one"
    files.close()
    files.close()


def test_a_device_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        W1Files(tmp_path).read(DEVICE)
