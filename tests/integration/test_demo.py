"""``gardu demo``: the promise, shown to whoever has just installed the package."""

import re

from tests.support.agent_process import gardu


async def test_the_demo_ends_with_an_honest_account_of_an_outage() -> None:
    status, out, err = await gardu("demo", "--seconds", "6", "--outage", timeout_s=75.0)
    found = re.fullmatch(r"sent (\d+) arrived (\d+) lost 0 twice 0", out.splitlines()[-1])
    assert found, (out[-500:], err)
    assert int(found[1]) == int(found[2]) > 0
    assert status == 0
    for line in ("batua-01", "pos-1", "halte-7"):
        assert line in out
    assert "Traceback" not in out + err


async def test_a_length_that_is_none_is_wrong_usage() -> None:
    status, out, err = await gardu("demo", "--seconds", "0")
    assert (status, out) == (2, "")
    assert "--seconds" in err
