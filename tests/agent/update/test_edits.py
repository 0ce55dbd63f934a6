"""Edits of the gateway's own files: rejected with a reason that stays visible until the files are valid again."""

from pathlib import Path

import pytest

from tests.agent.update.update_gateway import Gateway, outcome


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def break_file(gateway: Gateway) -> str:
    """Put a key into the file that does not exist; return the text before."""
    text = gateway.file.read_text()
    gateway.file.write_text(text + "[store]\nsise = 1\n" if "[store]" not in text else text + "sise = 1\n")
    return text


async def test_a_rejected_edit_stays_visible_until_it_is_reverted(gateway: Gateway) -> None:
    async with gateway.running():
        text = break_file(gateway)
        assert outcome(await gateway.edit()) == (0, "rejected", "schema")
        assert gateway.runtime.rejected_edit == "sensor.air-a.sise: unknown key"
        assert gateway.runtime.intervals == {"air-a": 1}
        gateway.file.write_text(text)
        assert outcome(await gateway.edit()) == (0, "confirmed", "")
        assert gateway.runtime.rejected_edit == ""
        assert len(gateway.runtime.changes) == 1


async def test_a_corrected_edit_is_tried_and_no_longer_rejected(gateway: Gateway) -> None:
    async with gateway.running():
        break_file(gateway)
        await gateway.edit()
        gateway.write("air-a", interval_s=7)
        assert outcome(await gateway.edit()) == (0, "confirmed", "")
        assert gateway.runtime.rejected_edit == ""
        assert gateway.runtime.intervals == {"air-a": 7}


async def test_a_configuration_from_the_city_does_not_hide_a_rejected_edit(gateway: Gateway) -> None:
    async with gateway.running():
        break_file(gateway)
        await gateway.edit()
        assert outcome(await gateway.send(gateway.payload(1, "air-b"))) == (1, "confirmed", "")
        assert gateway.runtime.rejected_edit == "sensor.air-a.sise: unknown key"


async def test_a_message_that_is_rejected_is_not_a_rejected_edit(gateway: Gateway) -> None:
    async with gateway.running():
        assert outcome(await gateway.send(b"{}"))[1] == "rejected"
        assert gateway.runtime.rejected_edit == ""


async def test_an_edit_that_is_rejected_at_the_start_is_visible(gateway: Gateway) -> None:
    async with gateway.running():
        pass
    break_file(gateway)
    async with gateway.running():
        assert gateway.runtime.rejected_edit == "sensor.air-a.sise: unknown key"
