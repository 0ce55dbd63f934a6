"""A subscriber's view of the broker: messages in; rows, each once, and gaps out. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.base.display import one_line
from agent.base.reading import AGENT, event
from agent.delivery import wire
from agent.delivery.policies.batch_rules import check_batch, is_epoch, is_name, is_sequence_number, is_stream
from agent.fleet.gap_ledger import Gap, Ledger, StreamId

_KINDS = ("telemetry", "event")
_MOST_ACCOUNTS = 2000
"""Streams and epochs of one gateway: many more than an honest one has."""
_MOST_STREAMS = 100_000
"""Of all gateways, whose ended epochs are watched."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row that came for the first time. ``fields``: the row as sent, its ``t`` included."""

    of: StreamId
    seq: int
    fields: Mapping[str, Any]
    late: bool

    @property
    def kind(self) -> str:
        """``telemetry`` or ``event``."""
        return self.of.stream.partition("/")[0]

    @property
    def sensor(self) -> str:
        return self.of.stream.partition("/")[2]


class Subscriber:
    """Decodes, removes duplicates, keeps the account. ``refused``: messages that the contract does not allow."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.refused = 0
        self._sensors: dict[str, Mapping[str, Any]] = {}
        self._accounts: dict[str, set[StreamId]] = {}
        # (gateway, stream) -> epoch that is open -> the number after its last, as far as it was told.
        self._given: dict[tuple[str, str], dict[str, int]] = {}

    def unit(self, gateway: str, sensor: str, field: str) -> str:
        """A field's unit as ``meta`` tells it, in one short line; empty where it is not known."""
        described = self._sensors.get(gateway, {}).get(sensor, {})
        fields = described.get("fields", {}) if isinstance(described, Mapping) else {}
        entry = fields.get(field, {}) if isinstance(fields, Mapping) else {}
        unit = entry.get("unit", "") if isinstance(entry, Mapping) else ""
        return one_line(unit, 32) if isinstance(unit, str) else ""

    def take(self, topic: str, payload: bytes, now_s: float) -> list[Arrival | Gap]:
        """One message from the broker: what is new in it. Topics that are not of the contract give nothing."""
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
            self.refused += 1
            return []

    def gaps(self, now_s: float) -> list[Gap]:
        """Holes that nothing explains; each is given once."""
        return list(self.ledger.gaps(now_s))

    def _rows(self, gateway: str, stream: str, batch: wire.Batch, now_s: float) -> Iterator[Arrival | Gap]:
        check_batch(batch)
        of = self._account(gateway, stream, batch.epoch)
        new = self.ledger.take(of, batch.low_water, batch.seq, batch.seq + len(batch.rows), now_s)
        for number in new:
            row = batch.rows[number - batch.seq]
            yield Arrival(of, number, row, batch.late)
            if stream == event(AGENT) and row.get("ev") == "rows_lost":
                yield from self._lost(gateway, row)
        yield from self.ledger.dropped()

    def _lost(self, gateway: str, row: Mapping[str, Any]) -> Iterator[Gap]:
        stream, epoch, start, last = (row.get(key) for key in ("stream", "ep", "from", "to"))
        if not (is_stream(stream) and is_epoch(epoch) and is_sequence_number(start) and is_sequence_number(last)):
            return
        if start <= last:
            of = self._account(gateway, stream, epoch)
            self.ledger.lost(of, start, last + 1)
            yield Gap(of, start, last + 1, one_line(str(row.get("why", "")), 32))

    def _account(self, gateway: str, stream: str, epoch: str) -> StreamId:
        """Whose numbers these are. Raises :class:`~agent.delivery.wire.WireError` where a gateway has invented so many
        epochs that they would fill the memory."""
        of = StreamId(gateway, stream, epoch)
        known = self._accounts.setdefault(gateway, set())
        if of not in known:
            if len(known) >= _MOST_ACCOUNTS:
                raise wire.WireError("too many epochs")
            known.add(of)
        return of

    def _close(self, gateway: str, message: Mapping[str, Any], now_s: float) -> None:
        streams, epoch = message.get("streams"), message.get("ep")
        if not isinstance(streams, dict) or not is_epoch(epoch):
            raise wire.WireError("streams")
        for name, numbers in streams.items():
            if not isinstance(numbers, dict) or not is_stream(name):
                continue
            low_water = numbers.get("lo")
            if is_sequence_number(low_water):
                self.ledger.closed(StreamId(gateway, name, epoch), low_water, now_s)
            self._close_ended(gateway, name, epoch, numbers, now_s)

    def _close_ended(self, gateway: str, stream: str, epoch: str, numbers: Mapping[str, Any], now_s: float) -> None:
        """Close the accounts of epochs that have ended and are not named as open any more."""
        given = {
            one["ep"]: one["next"]
            for one in _listed(numbers.get("before"))
            if is_epoch(one.get("ep")) and is_sequence_number(one.get("next"))
        }
        open_now = {**given, epoch: numbers.get("next")}
        if len(self._given) >= _MOST_STREAMS and (gateway, stream) not in self._given:
            return
        known = self._given.setdefault((gateway, stream), {})
        for name in [name for name in known if name not in open_now]:
            self.ledger.closed(StreamId(gateway, stream, name), known.pop(name), now_s)
        known.update({name: following for name, following in open_now.items() if is_sequence_number(following)})


def _listed(value: object) -> list[Mapping[str, Any]]:
    """The maps of a list from outside."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
