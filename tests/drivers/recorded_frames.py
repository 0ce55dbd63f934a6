"""Every driver of the catalogue, and the recorded frames of tests/data with what they mean."""

import json
from dataclasses import dataclass
from pathlib import Path

import drivers
from agent.config.io.catalog import Catalog
from agent.sensing.quality import assess
from drivers.sdk.contract import REASONS, Driver, Item, Rejected
from drivers.sdk.profiles.profile import parse_profile

CATALOG = Catalog(local=Path("no-such-directory"))
NAMES = CATALOG.names()
FRAMES = Path(__file__).parents[1] / "data" / "frames.jsonl"
PROFILE_FILES = sorted((Path(drivers.__file__).parent / "profiles").glob("*.toml"))
PROFILES = {file.stem: parse_profile(file.read_bytes(), file.name) for file in PROFILE_FILES}
JUST_OPENED_S = 0.0
WARM_S = 1000.0


@dataclass(frozen=True)
class Row:
    """What a device sent and what it means, as ``gardu decode`` prints it."""

    name: str
    driver: Driver
    raw: bytes
    expect: list[dict[str, object]]


def recorded_rows() -> list[Row]:
    rows = []
    for line in FRAMES.read_text().splitlines():
        row = json.loads(line)
        raw = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode("latin-1")
        rows.append(Row(row["id"], CATALOG.get(row["driver"]), raw, row["expect"]))
    return rows


ROWS = recorded_rows()
GOOD = [row for row in ROWS if row.expect and "fields" in row.expect[0]]

TEXTS = {"nmea0183", "system", "ds18b20"}
GENERIC = {name for name in NAMES if CATALOG.get(name).table is not None and not CATALOG.get(name).fields}
SIMULATED = sorted(set(NAMES) - GENERIC)


def printed(driver: Driver, items: list[Item]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for item in items:
        if isinstance(item, Rejected):
            assert item.reason in REASONS
            found.append({"rejected": item.reason})
        else:
            good = assess(item, driver.fields)
            found.append({"fields": dict(good.values), "q": dict(good.q)})
    return found


def decode(driver: Driver, *chunks: bytes, at_s: float = JUST_OPENED_S) -> list[dict[str, object]]:
    decoder = driver.decoder({})
    items = [item for chunk in chunks for item in decoder.feed(chunk, at_s)]
    return printed(driver, items + decoder.finish(at_s))
