"""Booted machines, with and without Gardu."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.booted import CONFIG, Booted, sensor
from tests.support.packages import DEB, package, shared_folder

SUITES = ("bookworm", "trixie")


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "plain-package", package) / DEB


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    newer = shared_folder(tmp_path_factory, "newer-package", lambda place: package(place, None, "--version", "9.0.0"))
    return newer / "gardu_9.0.0_amd64.deb"


@pytest.fixture(params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Booted]:
    """A machine without Gardu."""
    with Booted(tmp_path / "machine", request.param) as machine:
        yield machine


@pytest.fixture
def gateway(machine: Booted, deb: Path) -> Booted:
    """A machine with Gardu, which reads itself once a second, and a broker."""
    machine.broker()
    machine.write("/etc/gardu/gardu.toml", CONFIG + sensor("self"))
    machine.install(deb)
    machine.until(lambda: machine.show()["ActiveState"] == "active")
    return machine
