"""Measures how many frames a second one core decodes, building every measurement, and what the checks on values add.

``PYTHONPATH=. python bench/decode.py``: one line per driver. Frames are prepared by the simulator and fed in chunks of
4,096 bytes (the most that one read of a serial port returns); the best of five rounds counts.
"""

import time
from collections.abc import Callable
from functools import partial

from agent.config.io.catalog import Catalog
from agent.sensing.quality import assess
from drivers.sdk.contract import Driver, Measurement
from drivers.sim.models import model, waving

FRAMES = 20_000
CHUNK = 4096
ROUNDS = 5
DRIVERS = (
    *("sds011", "pms5003", "mhz19", "a02yyuw", "ops243", "cas_scale", "nmea0183"),
    *("sps30", "ld2410", "ld2450", "rdm6300", "pn532", "toledo", "barcode", "pzem004t", "sht3x"),
)


def best(work: Callable[[], int]) -> float:
    """Return the best rate of several rounds, in items per second."""
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        done = work()
        rates.append(done / (time.process_time() - start))
    return max(rates)


def decode(driver: Driver, chunks: list[bytes], *, assessed: bool) -> int:
    """Decode all chunks; return the number of measurements."""
    decoder = driver.decoder({})
    good = 0
    for chunk in chunks:
        for item in decoder.feed(chunk, 1000.0):
            if isinstance(item, Measurement):
                good += 1
                if assessed:
                    assess(item, driver.fields)
    if good != FRAMES:
        raise SystemExit(f"{driver.name}: {good} of {FRAMES} frames were read")
    return good


def main() -> None:
    catalog = Catalog()
    print(f"frames a second on one core, {FRAMES} frames in chunks of {CHUNK} bytes, best of {ROUNDS}")
    print(f"{'driver':12}{'decoded':>10}{'and assessed':>14}")
    for name in DRIVERS:
        driver, device = catalog.get(name), model(name)
        values = waving(device.typical)
        stream = b"".join(device.encode(values(number)) for number in range(FRAMES))
        chunks = [stream[at : at + CHUNK] for at in range(0, len(stream), CHUNK)]
        plain = best(partial(decode, driver, chunks, assessed=False))
        checked = best(partial(decode, driver, chunks, assessed=True))
        print(f"{name:12}{plain:10,.0f}{checked:14,.0f}")


if __name__ == "__main__":
    main()
