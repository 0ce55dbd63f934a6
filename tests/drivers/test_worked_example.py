"""docs/drivers.md promises that its worked example works."""

import re
from pathlib import Path

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import LineSettings, Measurement
from drivers.sdk.profile import read_profile
from drivers.sdk.profile_frame import TYPES
from drivers.sim.encode import encode

PAGE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()


def test_the_profile_in_the_documentation_reads_the_frame_beside_it() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    profile = read_profile(toml.encode(), "tank.toml")
    (frame,) = re.findall(r'echo "([0-9A-F ]+)"', PAGE)
    decoder = profile.driver.decoder({})

    assert profile.driver.line == LineSettings(4800, "E")
    assert decoder.feed(bytes.fromhex(frame), 0) == [Measurement({"level": 300, "temp": -1})]
    assert profile.examples[0].raw == bytes.fromhex(frame)
    assert decoder.feed(encode(profile, {"level": 0}), 30) == [
        Measurement({"level": 0, "temp": 28}, {"level": "uncertain:warmup"})
    ]


def test_every_sum_and_type_is_documented() -> None:
    assert all(f"`{name}`" in PAGE for name in CHECKSUMS)
    assert set(re.findall(r"\b[uif]\d+(?:[lb]e)?\b", PAGE)) <= set(TYPES)
