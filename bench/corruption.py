"""Measures how many wrong values pass when frames of every checked protocol are corrupted, compared with the check's
theoretical bound.

``PYTHONPATH=. python bench/corruption.py [FRAMES]`` (default 1,000,000 in total): one line per driver. Frames come from
the simulator with changing values, and each is corrupted as on a bad line: bits flipped, bytes replaced, a byte lost, a
byte doubled, a burst. A wrong value is one that passed and differs from what was sent. A check of n bits lets one
corrupted frame in 2**n pass: no more than that may be wrong (within three standard deviations). Exit status 1 if there
are more.
"""

import math
import random
import sys
from dataclasses import dataclass

from agent.config.io.catalog import Catalog
from agent.sensing.quality import assess
from drivers.sdk.contract import Measurement, Options, Rejected
from drivers.sim.models import model, waving

FRAMES = 1_000_000
SENT = 200
CHECK_BITS = {
    "sds011": 8,
    "pms5003": 8,
    "mhz19": 8,
    "a02yyuw": 8,
    "nmea0183": 8,
    "sps30": 8,
    "rdm6300": 8,
    "pn532": 8,
    "toledo": 7,
    "ds18b20": 8,
    "mlx90614": 8,
    "sht3x": 8,
    "sht4x": 8,
    "scd4x": 8,
    "scd30": 8,
    "senseair_s8": 16,
    "pzem004t": 16,
    "sdm120": 16,
    "renke_wind_speed": 16,
    "renke_wind_direction": 16,
    "sen0482": 16,
    "sen0483": 16,
    "sen0657": 16,
    "rs485_noise": 16,
    "wiegand": 2,
}
"""The protocols with checked frames, and the number of check bits. If a frame has several checks, the weakest counts; a
sum of bytes counts as eight bits however wide it is, since two errors can cancel each other."""

OPTIONS: dict[str, Options] = {"toledo": {"checksum": "on"}}
BY_EDGES = frozenset({"wiegand"})
"""Edges are sent as text, not on a wire: their bits are corrupted instead."""


@dataclass(slots=True)
class Result:
    """``judged``: corrupted frames that were accepted or rejected; ``wrong``: those that gave a wrong value."""

    frames: int = 0
    judged: int = 0
    wrong: int = 0

    def bound(self, bits: int) -> float:
        """Return how many may be wrong with a check of this many bits."""
        mean = self.frames / 2**bits
        return mean + 3 * math.sqrt(mean)


def corrupted(frame: bytes, chance: random.Random) -> bytes:
    """Return a frame as a bad line would deliver it, never the one sent."""
    raw = bytearray(frame)
    at = chance.randrange(len(raw))
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    elif kind == 2:
        del raw[at]
    elif kind == 3:
        raw.insert(at, raw[at])
    else:
        end = min(len(raw), at + chance.randint(2, 8))
        raw[at:end] = chance.randbytes(end - at)
    return bytes(raw)


def corrupted_edges(text: bytes, chance: random.Random) -> bytes:
    """Return a card's pulses with some on the other line, one lost or one added."""
    from drivers.sim.edges import wiegand_edges
    from drivers.sim.encoders import edges_text

    bits = list(text.decode())
    kind = chance.randrange(3)
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(bits))
            bits[at] = "10"[int(bits[at])]
    elif kind == 1:
        del bits[chance.randrange(len(bits))]
    else:
        bits.insert(chance.randrange(len(bits)), chance.choice("01"))
    return edges_text(wiegand_edges("".join(bits)))


def run(name: str, frames: int, seed: int = 1) -> Result:
    """Decode ``frames`` corrupted frames of one protocol."""
    driver, device, chance = Catalog().get(name), model(name), random.Random(f"{name} {seed}")
    if name in BY_EDGES:
        return _run_cards(frames, chance)
    values = waving(device.typical, every=SENT)
    good = [device.encode(values(number)) for number in range(SENT)]
    meant = [_meanings(name, frame) for frame in good]
    result = Result()
    options = OPTIONS.get(name, {})
    for number in range(frames):
        decoder = driver.decoder(options)
        raw = corrupted(good[number % SENT], chance)
        items = [*decoder.feed(raw, 1000.0), *decoder.finish(1000.0)]
        result.frames += 1
        result.judged += bool(items)
        for item in items:
            if isinstance(item, Rejected):
                continue
            found = assess(item, driver.fields)
            sent = meant[number % SENT]
            result.wrong += any(value is not None and value != sent.get(name) for name, value in found.values.items())
    return result


def _meanings(name: str, frame: bytes) -> dict[str, object]:
    driver = Catalog().get(name)
    decoder = driver.decoder(OPTIONS.get(name, {}))
    (item,) = [*decoder.feed(frame, 1000.0), *decoder.finish(1000.0)]
    assert isinstance(item, Measurement)
    return dict(assess(item, driver.fields).values)


def _run_cards(frames: int, chance: random.Random) -> Result:
    from drivers.sim.edges import wiegand_bits
    from drivers.wiegand import DRIVER

    result = Result()
    for _ in range(frames):
        facility, card = chance.randrange(256), chance.randrange(65536)
        decoder = DRIVER.decoder({})
        raw = corrupted_edges(wiegand_bits(facility, card).encode(), chance)
        items = [*decoder.feed(raw, 0), *decoder.finish(0)]
        result.frames += 1
        result.judged += bool(items)
        # A frame of another length has no parity: it is a different kind of card, and its field bits shows that.
        result.wrong += any(
            isinstance(item, Measurement)
            and item.values["bits"] == 26
            and (item.values["facility"], item.values["card"]) != (facility, card)
            for item in items
        )
    return result


def main() -> int:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    each = total // len(CHECK_BITS)
    print(f"{each:,} corrupted frames a driver")
    print(f"{'driver':22}{'check':>8}{'judged':>10}{'wrong':>8}{'bound':>10}")
    worse = 0
    for name, bits in CHECK_BITS.items():
        result = run(name, each)
        worse += result.wrong > result.bound(bits)
        print(f"{name:22}{bits:>3} bits{result.judged:>10,}{result.wrong:>8,}{result.bound(bits):>10,.0f}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
