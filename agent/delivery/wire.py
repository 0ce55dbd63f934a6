"""The wire contract, version 1: topics and payloads, in both directions. No I/O.

The contract, with the meaning of every key, is ``docs/wire.md``.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from agent.base.reading import Context, Row, packed

VERSION = 1
MAX_BATCH_BYTES = 65_536
"""The maximum size of a batch before compression."""
LIVE_MS = 30_000
"""A row older than this (monotonic) when it is sent is not live."""

SECTORS = ("health", "security", "mobility")
CONTENT_TYPES = {"msgpack": "application/vnd.msgpack", "json": "application/json"}

_TIMED = struct.Struct(">2sBQ")


class WireError(ValueError):
    """A payload that violates this version of the contract; the text says how."""


@dataclass(frozen=True, slots=True)
class Topics:
    """A gateway's topics. ``base`` has no trailing slash."""

    base: str

    @classmethod
    def of(cls, root: str, sector: str, site: str, gateway: str) -> "Topics":
        """Return the topics below ``{root}/v1/{sector}/{site}/{gateway}``."""
        return cls(f"{root}/v{VERSION}/{sector}/{site}/{gateway}")

    @property
    def state(self) -> str:
        return f"{self.base}/state"

    @property
    def meta(self) -> str:
        return f"{self.base}/meta"

    @property
    def streams(self) -> str:
        return f"{self.base}/streams"

    def older_meta(self, meta_hash: str) -> str:
        """Return the topic of an older description."""
        return f"{self.base}/meta/{meta_hash}"

    @property
    def commands(self) -> str:
        """The filter of all commands."""
        return f"{self.base}/command/+"

    @property
    def desired(self) -> str:
        return f"{self.base}/config/desired"

    @property
    def trust(self) -> str:
        return f"{self.base}/config/trust"

    @property
    def reported(self) -> str:
        return f"{self.base}/config/reported"

    def reply(self, identity: str) -> str:
        """Return the topic of a command's reply."""
        return f"{self.base}/reply/{identity}"

    def stream(self, name: str) -> str:
        """Return the topic of a stream: ``telemetry/{sensor}`` or ``event/{sensor}``."""
        return f"{self.base}/{name}"


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a topic: the gateway, and ``leaf``, the rest below its path."""

    root: str
    sector: str
    site: str
    gateway: str
    leaf: str


def parse_topic(topic: str) -> Address | None:
    """Parse a topic; return ``None`` if it does not belong to this contract."""
    levels = topic.split("/")
    for index in range(1, len(levels) - 4):
        if levels[index] == f"v{VERSION}" and levels[index + 1] in SECTORS:
            sector, site, gateway = levels[index + 1 : index + 4]
            return Address("/".join(levels[:index]), sector, site, gateway, "/".join(levels[index + 4 :]))
    return None


def encode_batch(rows: Sequence[Row], low_water: int, late: bool, encoding: str) -> bytes:
    """Encode one message of consecutive rows that share their context. ``late``: it is not live (``h``)."""
    context: Context = rows[0].context
    head: dict[str, Any] = {
        "v": VERSION,
        "ep": context.epoch,
        "bid": context.boot_id,
        "seq": rows[0].seq,
        "lo": low_water,
        "cq": context.clock_quality,
        "mh": context.meta_hash,
    }
    if late:
        head["h"] = True
    if encoding == "json":
        head["r"] = [{"t": row.t, **msgpack.unpackb(row.body)} for row in rows]
        return _json(head)
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(head) + 1)
    for key, value in head.items():
        packer.pack(key)
        packer.pack(value)
    packer.pack("r")
    packer.pack_array_header(len(rows))
    return bytes(packer.bytes()) + b"".join([_with_time(row.t, row.body) for row in rows])


def _with_time(t: int, body: bytes) -> bytes:
    """Return the stored map with ``t`` inserted first, by manipulating its bytes, which makes sending cheap."""
    head = body[0]
    if 0x80 <= head < 0x8F and t >= 0:
        return bytes((head + 1,)) + _TIMED.pack(b"\xa1t", 0xCF, t) + body[1:]
    return packed({"t": t, **msgpack.unpackb(body)})


def compress(payload: bytes) -> bytes:
    """Return the payload compressed, for ``content-encoding: zlib``."""
    return zlib.compress(payload, 6)


def decode(payload: bytes) -> dict[str, Any]:
    """Decode any JSON or MessagePack payload of the contract, distinguished by its first byte.

    Raises :class:`WireError` if it is neither, not a map, or of another version.
    """
    if not payload:
        raise WireError("empty")
    try:
        if payload[0] == 0x78:
            payload = _decompress(payload)
        message = json.loads(payload) if payload[0] == 0x7B else msgpack.unpackb(payload)
    except (ValueError, IndexError, zlib.error, msgpack.UnpackException, RecursionError) as error:
        raise WireError(str(error) or type(error).__name__) from error
    if not isinstance(message, dict):
        raise WireError("not a map")
    if message.get("v") != VERSION:
        raise WireError(f"version {message.get('v')!r}")
    return message


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as a subscriber sees it. Row *i* has the number ``seq + i``."""

    epoch: str
    seq: int
    low_water: int
    late: bool
    rows: list[dict[str, Any]]


def parse_batch(message: Mapping[str, Any]) -> Batch:
    """Return the parts of a decoded batch that a subscriber needs. Raises :class:`WireError` if one is invalid."""
    epoch, seq, low_water, rows = (message.get(key) for key in ("ep", "seq", "lo", "r"))
    if not isinstance(epoch, str) or not _is_number(seq) or not _is_number(low_water):
        raise WireError("ep, seq or lo")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_number(row.get("t")) for row in rows):
        raise WireError("r")
    return Batch(epoch, int(seq or 0), int(low_water or 0), message.get("h") is True, rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _decompress(payload: bytes) -> bytes:
    # Bounded: a few bytes of zlib can expand to gigabytes.
    expander = zlib.decompressobj()
    result = expander.decompress(payload, 16 * MAX_BATCH_BYTES)
    if not expander.eof:
        raise WireError("compressed payload too large or truncated")
    return result


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def state(online: bool, gen: int, epoch: str, boot_id: str, agent: str, t: int, reason: str) -> bytes:
    """Return the ``state`` message; the Will is one with ``online`` false and reason ``lwt``."""
    fields = {"gen": gen, "ep": epoch, "bid": boot_id, "agent": agent, "t": t, "reason": reason}
    return _json({"v": VERSION, "online": online, **fields})


def sensors_object(sensors: Mapping[str, Any]) -> bytes:
    """Return the ``sensors`` object of ``meta``, in the bytes to send."""
    return _json(sensors)


def meta_hash(sensors: bytes) -> str:
    """Return ``mh``: the first 4 bytes of SHA-256 over the ``sensors`` object as sent, in hex."""
    return hashlib.sha256(sensors).hexdigest()[:8]


def meta(sensors: bytes, gateway: Mapping[str, Any], site: Mapping[str, Any]) -> bytes:
    """Return the ``meta`` message around a ``sensors`` object, whose bytes are kept unchanged."""
    head = _json({"v": VERSION, "mh": meta_hash(sensors), "gateway": gateway, "site": site})
    return head[:-1] + b',"sensors":' + sensors + b"}"


def reported(fields: Mapping[str, Any]) -> bytes:
    """Return the ``config/reported`` message."""
    return _json({"v": VERSION, **fields})


def reply(identity: str, command: str, status: str, detail: str, result: object) -> bytes:
    """Return the reply to a command."""
    return _json({"id": identity, "command": command, "status": status, "detail": detail, "result": result})


def stream_numbers(first: int, low_water: int, following: int, before: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return a stream's entry in ``streams``. ``before``: ended epochs that may still be open, each with the number
    after its last."""
    numbers: dict[str, Any] = {"first": first, "lo": low_water, "next": following}
    return numbers | ({"before": [{"ep": epoch, "next": stop} for epoch, stop in before]} if before else {})


def streams(epoch: str, t: int, numbers: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the ``streams`` message: stream -> :func:`stream_numbers`."""
    return _json({"v": VERSION, "ep": epoch, "t": t, "streams": numbers})
