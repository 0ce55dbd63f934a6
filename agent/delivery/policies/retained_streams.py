"""The gateway's own retained ``streams`` message, as the broker has kept it from an earlier session. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.delivery import wire
from agent.delivery.policies.batch_rules import is_epoch, is_sequence_number, is_stream
from agent.store.stream_account import FIRST_NUMBER, StreamAccount


@dataclass(frozen=True, slots=True)
class RetainedStreams:
    """``epoch``: empty if there is no valid message. ``streams``: by name, the entry of each."""

    epoch: str = ""
    streams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, payload: bytes) -> "RetainedStreams":
        """Parse a message; entries that do not follow the wire contract are left out."""
        try:
            message = wire.decode(payload)
        except wire.WireError:
            return cls()
        epoch, streams = message.get("ep"), message.get("streams")
        if not is_epoch(epoch) or not isinstance(streams, Mapping):
            return cls()
        return cls(epoch, {name: entry for name, entry in streams.items() if is_stream(name) and _is_entry(entry)})

    def is_ahead(self, epoch: str, accounts: Mapping[str, StreamAccount]) -> bool:
        """Return whether the broker has seen numbers of this epoch that the store has not assigned."""
        if self.epoch != epoch:
            return False
        assigned = {name: account.next for name, account in accounts.items()}
        return any(entry["next"] > assigned.get(name, FIRST_NUMBER) for name, entry in self.streams.items())

    def lost(self, accounts: Mapping[str, StreamAccount]) -> Iterator[tuple[str, str, int, int]]:
        """Yield the rows (stream, epoch, first number, the number after the last) that were unsettled in an epoch which
        the store does not know: they were only in memory when the agent crashed."""
        for name, entry in self.streams.items():
            account = accounts.get(name)
            known = account is None or any(epoch == self.epoch for _, epoch in account.epochs)
            low_water = entry.get("lo")
            if not known and is_sequence_number(low_water) and low_water < entry["next"]:
                yield name, self.epoch, low_water, entry["next"]


def _is_entry(entry: object) -> bool:
    return isinstance(entry, Mapping) and is_sequence_number(entry.get("next"))
