"""The power of a real kernel is cut while the whole agent reads and drains; nothing accepted is lost or comes twice."""

import platform
import shutil

import pytest

from tests.crashes.cuts import fast_folder
from tests.crashes.powered_gateway import KERNEL, PoweredGateway

CUTS, MANY_CUTS, CUTS_OF_THE_CONTROL = 10, 300, 12

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="user-mode Linux runs on x86-64 only")


@pytest.fixture(autouse=True)
def kernel() -> None:
    """The kernel is there."""
    assert shutil.which(KERNEL), f"{KERNEL} is missing: apt-get install user-mode-linux"


def cut(cuts: int, seed: int, synchronous: str = "") -> PoweredGateway:
    """Cut the power of a gateway, again and again, and let it deliver in the end."""
    with fast_folder() as folder:
        gateway = PoweredGateway(folder, seed, synchronous)
        for _ in range(cuts):
            gateway.cut()
        gateway.drain()
        return gateway


def assert_whole(gateway: PoweredGateway) -> None:
    account = gateway.account
    assert account.faults == []
    assert account.lost() == []
    assert account.repeated() == []
    assert not any(fields.get("ev") == "rows_lost" for fields in account.received.values())
    assert len({epoch for _, epoch, _ in account.accepted}) == gateway.boots, "an epoch for each boot"


def test_power_cuts_of_a_real_kernel_lose_nothing() -> None:
    assert_whole(cut(CUTS, seed=1))


@pytest.mark.long
def test_a_great_many_power_cuts_of_a_real_kernel_lose_nothing() -> None:
    gateway = cut(MANY_CUTS, seed=2)
    assert_whole(gateway)
    assert len(gateway.account.accepted) > 10 * MANY_CUTS


@pytest.mark.long
def test_without_syncs_power_cuts_of_a_real_kernel_lose_readings() -> None:
    assert cut(CUTS_OF_THE_CONTROL, seed=3, synchronous="OFF").account.lost()
