"""Melexis MLX90614 infrared thermometers.

Source: Melexis, MLX90614 family data sheet rev 008, 8.3.4 (RAM 0x06 ambient, 0x07 object 1), 8.4.3 (SMBus read word,
PEC); Melexis, application note "SMBus communication with MLX90614" (bit 15 is an error). The resolution of 0.02 K, and
the PEC over address, command, address, word, agree with ESPHome, mlx90614.
"""

from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, Field, Item, Measurement, Options, Page, Rejected, Value

_COMMANDS = {"object_temp": 0x07, "ambient_temp": 0x06}
_NAMES = tuple(_COMMANDS)
_ADDRESS = 0x5A
_ANSWER_BYTES = 3
_ERROR = 0x8000
_ZERO_C_K = 273.15
_pec = CHECKSUMS["crc8_smbus"].compute


def pec(address: int, command: int, word: bytes) -> int:
    """Return the packet error code of a read word, which covers all bytes on the bus."""
    return _pec(bytes((address << 1, command, address << 1 | 1)) + word)


class Thermometer:
    """One device: its answers are word and PEC of the object, then of the ambient temperature."""

    def __init__(self, port: I2cPort, address: int) -> None:
        self._port = port
        self._address = address

    def start(self) -> None:
        """Nothing to set up."""

    def read(self) -> bytes:
        parts = (
            self._port.write_read(self._address, bytes((command,)), _ANSWER_BYTES) for command in _COMMANDS.values()
        )
        return b"".join(parts)


class WordDecoder:
    """Decodes the answers in the order of the commands; the PEC proves that each answers its command."""

    def __init__(self, address: int) -> None:
        self.skipped = 0
        self._address = address
        self._rest = b""
        self._answered = 0
        self._values: dict[str, Value] = {}
        self._doubts: dict[str, str] = {}

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        buffer = self._rest + chunk
        whole = len(buffer) - len(buffer) % _ANSWER_BYTES
        self._rest = buffer[whole:]
        items: list[Item] = []
        for at in range(0, whole, _ANSWER_BYTES):
            items += self._add_answer(buffer[at : at + _ANSWER_BYTES])
        return items

    def finish(self, at_s: float) -> list[Item]:
        self.skipped += len(self._rest)
        self._rest = b""
        return self._flush()

    def _add_answer(self, answer: bytes) -> list[Item]:
        name = _NAMES[self._answered]
        self._answered += 1
        items: list[Item] = []
        if pec(self._address, _COMMANDS[name], answer[:2]) == answer[2]:
            raw = int.from_bytes(answer[:2], "little")
            self._values[name] = None if raw & _ERROR else raw * 0.02 - _ZERO_C_K
            if raw & _ERROR:
                self._doubts[name] = "bad:device"
        else:
            self.skipped += len(answer)
            items.append(Rejected("crc"))
        if self._answered == len(_NAMES):
            items += self._flush()
        return items

    def _flush(self) -> list[Item]:
        values, doubts, self._values, self._doubts = self._values, self._doubts, {}, {}
        self._answered = 0
        return [Measurement(values, doubts)] if values else []


def _decoder(options: Options) -> Decoder:
    return WordDecoder(_ADDRESS)


def _open(port: I2cPort, address: int, options: Options) -> I2cDevice:
    return Thermometer(port, address)


DRIVER = I2cDriver(
    name="mlx90614",
    title="Melexis MLX90614 infrared thermometer",
    source="Melexis, MLX90614 family data sheet rev 008, 8.3.4 and 8.4.3; compared with ESPHome (mlx90614)",
    fields={
        "object_temp": Field("Cel", resolution=0.01, min=-70, max=382),
        "ambient_temp": Field("Cel", resolution=0.01, min=-40, max=125),
    },
    period_s=5.0,
    decoder=_decoder,
    inline=True,
    open=_open,
    address=_ADDRESS,
    addresses=(_ADDRESS,),
    page=Page(
        about="Measures the temperature of a surface by its infrared radiation, and its own temperature.",
        wiring="3.3 V (type Bxx) or 5 V (type Axx, with level converters), GND, SDA, SCL. Address 0x5A.",
        pitfalls=(
            "Its field of view is a cone (90 degrees with the standard type): the surface must fill it.",
            "Shiny metal emits little infrared radiation: the value is far too low.",
            "It is not a medical thermometer.",
            "Run the bus at 100 kHz at most.",
        ),
        example='[[sensor]]\nid = "surface-1"\ndriver = "mlx90614"\ni2c_bus = 1\ninterval_s = 10\n',
    ),
)
