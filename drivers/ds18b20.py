"""DS18B20 temperature probes, read through the kernel's 1-Wire files.

Source: Maxim Integrated, DS18B20 datasheet 19-7487 Rev 6 (scratchpad, temperature register, CRC); Linux kernel
documentation, w1/slaves/w1_therm (the text of ``w1_slave``). The power-on value of 85 Cel comes with 0x0C in byte 6, a
measured one does not: raspberrypi.stackexchange.com/questions/65828.
"""

import re

from drivers.sdk.bus import W1Driver
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, Field, Item, Measurement, Options, Page, Rejected
from drivers.sdk.framing import FrameError, LineDecoder

_SCRATCHPAD = re.compile(r"((?:[0-9a-fA-F]{2} ){9}): crc=[0-9a-fA-F]{2} (YES|NO)")
_BYTES_THEN_VALUE = re.compile(r"((?:[0-9a-fA-F]{2} ){9})t=(-?[0-9]+)")
_CRC = CHECKSUMS["crc8_dallas"]
_POWER_ON = 85 * 16
_FAILED = 0x07FF
_SIXTEENTHS = 16


def decode(scratchpad: bytes) -> Measurement:
    """Decode the temperature in the nine bytes of a scratchpad. Raises FrameError if they are not valid."""
    if not any(scratchpad):  # the CRC of zeros is zero: a line held low passes it
        raise FrameError("format")
    if _CRC.compute(scratchpad[:8]) != scratchpad[8]:
        raise FrameError(_CRC.reason)
    raw = _raw(scratchpad)
    if raw == _POWER_ON and scratchpad[6] == 0x0C:
        return Measurement({"temp": None}, {"temp": "bad:power"})
    if raw == _FAILED:
        return Measurement({"temp": None}, {"temp": "bad:device"})
    return Measurement({"temp": raw / _SIXTEENTHS})


def _raw(scratchpad: bytes) -> int:
    return int.from_bytes(scratchpad[:2], "little", signed=True)


class SlaveTextDecoder:
    """Decodes the two lines of ``w1_slave``; the second one repeats the bytes and adds the same temperature."""

    def __init__(self) -> None:
        self.skipped = 0
        self._lines = LineDecoder(self._handle_line, 128)
        self._used = 0
        self._first: tuple[bytes, bool] | None = None

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        items = self._lines.feed(chunk, at_s)
        self.skipped = self._lines.skipped - self._used
        return items

    def finish(self, at_s: float) -> list[Item]:
        items = self._lines.finish(at_s)
        self.skipped = self._lines.skipped - self._used
        if self._first is not None:  # the kernel omits the second line if the CRC is wrong
            items.append(Rejected("format" if self._first[1] else _CRC.reason))
            self._first = None
        return items

    def _handle_line(self, line: str, at_s: float) -> Measurement | None:
        line = line.strip()
        first = _SCRATCHPAD.fullmatch(line)
        if first is not None:
            self._used += len(line)
            self._first = bytes.fromhex(first[1]), first[2] == "YES"
            return None
        second = _BYTES_THEN_VALUE.fullmatch(line)
        if second is None and "crc=" not in line:
            return None
        before, self._first = self._first, None
        if second is None or before is None or bytes.fromhex(second[1]) != before[0]:
            raise FrameError("format")
        if not before[1]:
            raise FrameError(_CRC.reason)
        measurement = decode(before[0])
        if abs(int(second[2]) - _raw(before[0]) * 1000 / _SIXTEENTHS) >= 1:
            raise FrameError("format")  # truncated
        return measurement


def _decoder(options: Options) -> Decoder:
    return SlaveTextDecoder()


DRIVER = W1Driver(
    name="ds18b20",
    title="DS18B20 temperature probe (1-Wire)",
    source="Maxim Integrated, DS18B20 datasheet 19-7487 Rev 6; Linux kernel, Documentation/w1/slaves/w1_therm.rst",
    fields={"temp": Field("Cel", resolution=0.0625, min=-55, max=125)},
    period_s=60.0,
    decoder=_decoder,
    inline=True,
    families=("28",),
    page=Page(
        about="A digital thermometer on a cable, +-0.5 Cel. In a bottle of glycol it monitors a vaccine fridge. It\n"
        "supplements a recorder prequalified by WHO (PQS E006); it does not replace one.",
        wiring="Red to 3.3 V, black to GND, yellow to GPIO 4, 4.7 kohm between yellow and red. On a Raspberry Pi\n"
        "  dtoverlay=w1-gpio in config.txt. Its name then appears as a directory in /sys/bus/w1/devices.",
        pitfalls=(
            "85 Cel right after power-on is not a measurement: null, bad:power. It indicates a bad power supply.",
            "Long cables fail with parasite power (no red wire): use three wires.",
            "Configure the probe's own number (28-...): the order of probes on a cable changes.",
            "Counterfeits drift: check a new probe in melting ice, and set calibrate.",
        ),
        example='[[sensor]]\nid = "fridge-1"\ndriver = "ds18b20"\nw1 = "28-0316a2795cff"\ninterval_s = 60\n'
        'label = "vaccine fridge"\n',
    ),
)
