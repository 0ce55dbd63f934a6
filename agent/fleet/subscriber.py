"""A subscriber: turns messages from the broker into rows without duplicates, and gaps. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.base.display import one_line
from agent.base.reading import AGENT, event
from agent.delivery import wire
from agent.delivery.policies.batch_rules import check_batch, is_epoch, is_name, is_sequence_number, is_stream
from agent.fleet.gap_ledger import Gap, Ledger, StreamId

_KINDS = ("telemetry", "event")
_MAX_ACCOUNTS = 2000
"""Streams and epochs of one gateway: far more than an honest gateway has."""
_MAX_STREAMS = 100_000
"""Streams of all gateways whose ended epochs are tracked."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row that arrived for the first time. ``fields``: the row as sent, including ``t``."""

    stream_id: StreamId
    seq: int
    fields: Mapping[str, Any]
    late: bool

    @property
    def kind(self) -> str:
        """``telemetry`` or ``event``."""
        return self.stream_id.stream.partition("/")[0]

    @property
    def sensor(self) -> str:
        return self.stream_id.stream.partition("/")[2]


class Subscriber:
    """Decodes messages, removes duplicates and keeps the account. ``invalid`` counts messages that violate the wire
    contract."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.invalid = 0
        self._sensors: dict[str, Mapping[str, Any]] = {}
        self._accounts: dict[str, set[StreamId]] = {}
        # (gateway, stream) -> open epoch -> the next number, as far as it was announced.
        self._open_epochs: dict[tuple[str, str], dict[str, int]] = {}

    def unit(self, gateway: str, sensor: str, field: str) -> str:
        """Return a field's unit from ``meta`` as one short line; empty if it is unknown."""
        described = self._sensors.get(gateway, {}).get(sensor, {})
        fields = described.get("fields", {}) if isinstance(described, Mapping) else {}
        entry = fields.get(field, {}) if isinstance(fields, Mapping) else {}
        unit = entry.get("unit", "") if isinstance(entry, Mapping) else ""
        return one_line(unit, 32) if isinstance(unit, str) else ""

    def on_message(self, topic: str, payload: bytes, now_s: float) -> list[Arrival | Gap]:
        """Return what is new in a message from the broker. Topics outside the contract are ignored."""
        address = wire.parse_topic(topic)
        kind = address.leaf.partition("/")[0] if address is not None else ""
        if address is None or kind not in (*_KINDS, "meta", "streams") or not payload:
            return []
        try:
            if not is_name(address.gateway) or (kind in _KINDS and not is_stream(address.leaf)):
                raise wire.WireError("topic")
            message = wire.decode(payload)
            if kind == "meta":
                if address.leaf == "meta" and isinstance(message.get("sensors"), dict):
                    self._sensors[address.gateway] = message["sensors"]
                return []
            if kind == "streams":
                self._close(address.gateway, message, now_s)
                return []
            return list(self._rows(address.gateway, address.leaf, wire.parse_batch(message), now_s))
        except wire.WireError:
            self.invalid += 1
            return []

    def gaps(self, now_s: float) -> list[Gap]:
        """Return holes that nothing explains, each only once."""
        return list(self.ledger.gaps(now_s))

    def _rows(self, gateway: str, stream: str, batch: wire.Batch, now_s: float) -> Iterator[Arrival | Gap]:
        check_batch(batch)
        stream_id = self._account(gateway, stream, batch.epoch)
        new = self.ledger.add(stream_id, batch.low_water, batch.seq, batch.seq + len(batch.rows), now_s)
        for number in new:
            row = batch.rows[number - batch.seq]
            yield Arrival(stream_id, number, row, batch.late)
            if stream == event(AGENT) and row.get("ev") == "rows_lost":
                yield from self._lost(gateway, row)
        yield from self.ledger.dropped()

    def _lost(self, gateway: str, row: Mapping[str, Any]) -> Iterator[Gap]:
        stream, epoch, start, last = (row.get(key) for key in ("stream", "ep", "from", "to"))
        if not (is_stream(stream) and is_epoch(epoch) and is_sequence_number(start) and is_sequence_number(last)):
            return
        if start <= last:
            stream_id = self._account(gateway, stream, epoch)
            self.ledger.mark_lost(stream_id, start, last + 1)
            yield Gap(stream_id, start, last + 1, one_line(str(row.get("why", "")), 32))

    def _account(self, gateway: str, stream: str, epoch: str) -> StreamId:
        """Return the id of a stream. Raises :class:`~agent.delivery.wire.WireError` if a gateway has invented so many
        epochs that they would fill the memory."""
        stream_id = StreamId(gateway, stream, epoch)
        known = self._accounts.setdefault(gateway, set())
        if stream_id not in known:
            if len(known) >= _MAX_ACCOUNTS:
                raise wire.WireError("too many epochs")
            known.add(stream_id)
        return stream_id

    def _close(self, gateway: str, message: Mapping[str, Any], now_s: float) -> None:
        streams, epoch = message.get("streams"), message.get("ep")
        if not isinstance(streams, dict) or not is_epoch(epoch):
            raise wire.WireError("streams")
        for name, numbers in streams.items():
            if not isinstance(numbers, dict) or not is_stream(name):
                continue
            low_water, following = numbers.get("lo"), numbers.get("next")
            if is_sequence_number(low_water):
                known_to = following if is_sequence_number(following) else 0
                self.ledger.close(StreamId(gateway, name, epoch), low_water, now_s, known_to)
            self._close_ended(gateway, name, epoch, numbers, now_s)

    def _close_ended(self, gateway: str, stream: str, epoch: str, numbers: Mapping[str, Any], now_s: float) -> None:
        """Close the accounts of ended epochs that are no longer listed as open."""
        ended = {
            entry["ep"]: entry["next"]
            for entry in _tables(numbers.get("before"))
            if is_epoch(entry.get("ep")) and is_sequence_number(entry.get("next"))
        }
        open_now = {**ended, epoch: numbers.get("next")}
        if len(self._open_epochs) >= _MAX_STREAMS and (gateway, stream) not in self._open_epochs:
            return
        known = self._open_epochs.setdefault((gateway, stream), {})
        for name in [name for name in known if name not in open_now]:
            self.ledger.close(StreamId(gateway, stream, name), known.pop(name), now_s)
        known.update({name: following for name, following in open_now.items() if is_sequence_number(following)})


def _tables(value: object) -> list[Mapping[str, Any]]:
    """Return the maps in a list from outside."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
