"""Corrects the time of rows measured while the clock was unset, once the time at which their boot began is known.

A row measured while the clock was unset keeps its time since boot. Its ``t`` and ``cq`` are fixed when it is first
sent: each time the offset of the boot changes, the rows sent before are recorded with it. The rows themselves, of which
there may be a million, are never rewritten.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.base.ranges import Ranges
from agent.base.reading import AGENT, Context, Row, telemetry
from agent.base.timekeeping.clock_trust import LAST_MS, STEP_MS
from agent.store.stream_account import StreamAccount

_MAX_BOOTS = 16
_MAX_ERAS = 4
_MAX_RANGES = 64
_MIN_ANNOUNCE_MS = 60_000

Sent = Mapping[str, Ranges]
"""Numbers by stream."""


@dataclass(frozen=True, slots=True)
class Era:
    """An offset of the boot. Since ``at_ms`` of the boot, it is known that the boot began at ``offset_ms`` (Unix
    milliseconds), with quality ``clock_quality``. It corrects rows measured earlier, except ``sent``: the numbers
    already sent by then."""

    at_ms: int
    offset_ms: int
    clock_quality: int
    sent: Sent


@dataclass(slots=True)
class Boot:
    """One boot. ``unset_ms``: when the boot began according to the unset clock. ``is_unset``: whether the clock is
    unset now. ``announced_ms``: the offset last announced to subscribers."""

    boot_id: str
    unset_ms: int = 0
    is_unset: bool = False
    announced_ms: int | None = None
    eras: list[Era] = field(default_factory=list)

    def era_of(self, stream: str, row: Row) -> Era | None:
        """Return the offset with which a row was first sent, or will be; ``None``: as measured."""
        latest: Era | None = None
        for era in self.eras:
            if stream in era.sent and row.seq in era.sent[stream]:
                return latest
            if era.at_ms >= row.mono_ms:
                latest = era
        return latest

    @property
    def is_needed(self) -> bool:
        """True if rows measured while the clock was unset may exist."""
        return self.is_unset or bool(self.eras)


class BootTimes:
    """The offsets of this boot and of earlier ones. ``boot_id``: the current boot. ``grace_ms``: how long its readings
    wait for the clock to be set."""

    def __init__(self, boot_id: str) -> None:
        self._now = Boot(boot_id)
        self._boots: dict[str, Boot] = {boot_id: self._now}
        self._sent: defaultdict[str, Ranges] = defaultdict(Ranges)
        self._announce_again_ms = 0
        self.grace_ms = 600_000

    @property
    def is_unset(self) -> bool:
        """True while the clock is unset."""
        return self._now.is_unset

    def restore(self, text: str) -> None:
        """Load the text that :meth:`dump` returned in an earlier run; invalid entries are ignored."""
        try:
            entries = json.loads(text or "[]")
        except (ValueError, RecursionError):
            return
        for entry in entries if isinstance(entries, list) else []:
            boot = _parse_boot(entry)
            if boot is not None:
                self._boots[boot.boot_id] = boot
        self._now = self._boots.setdefault(self._now.boot_id, self._now)

    def dump(self) -> str:
        """Return the state to save for the next start: this boot, and the newest boots whose rows still need it."""
        older = [boot for boot in self._boots.values() if boot is not self._now and boot.is_needed]
        saved = [*older[-_MAX_BOOTS:], self._now]
        self._boots = {boot.boot_id: boot for boot in saved}
        return json.dumps([_encode_boot(boot) for boot in saved if boot.is_needed], separators=(",", ":"))

    def on_clock_unset(self, offset_ms: int) -> bool:
        """Record that the clock is unset and places the beginning of the boot at ``offset_ms``; return whether this is
        a change."""
        boot = self._now
        if boot.is_unset and abs(boot.unset_ms - offset_ms) <= STEP_MS:
            return False
        boot.is_unset, boot.unset_ms, boot.announced_ms = True, offset_ms, None
        return True

    def on_clock_set(
        self, mono_ms: int, offset_ms: int, clock_quality: int, accounts: Mapping[str, StreamAccount]
    ) -> bool:
        """Record that the clock is set (``cq`` above 0); return whether this changes the time of any row."""
        boot = self._now
        eras = boot.eras
        better = bool(eras) and (
            abs(eras[-1].offset_ms - offset_ms) > STEP_MS or clock_quality > eras[-1].clock_quality
        )
        if not (boot.is_unset or better):
            return False
        boot.is_unset = False
        if len(eras) >= _MAX_ERAS:  # the clock is set again and again: the last value counts
            eras[-1] = Era(mono_ms, offset_ms, clock_quality, eras[-1].sent)
            return True
        sent = {name: _union(account.settled, self._sent[name]) for name, account in accounts.items()}
        eras.append(
            Era(mono_ms, offset_ms, clock_quality, {name: ranges for name, ranges in sent.items() if len(ranges)})
        )
        return True

    def next_correction(self, mono_ms: int) -> tuple[int, int] | None:
        """Return a clock correction to announce to subscribers, or ``None``: the time that the unset clock would show
        now, and the true time. Each correction is returned once, at most one per minute."""
        boot = self._now
        if not boot.eras or boot.is_unset or mono_ms < self._announce_again_ms:
            return None
        offset_ms = boot.eras[-1].offset_ms
        if boot.announced_ms is not None and abs(offset_ms - boot.announced_ms) <= STEP_MS:
            return None
        boot.announced_ms = offset_ms
        self._announce_again_ms = mono_ms + _MIN_ANNOUNCE_MS
        return boot.unset_ms + mono_ms, offset_ms + mono_ms

    def mark_sent(self, stream: str, start: int, stop: int) -> None:
        """Record that the rows ``[start, stop)`` were sent: their time is fixed from now on."""
        self._sent[stream].add(start, stop)

    def wait_ms(self, stream: str, row: Row, mono_ms: int) -> int:
        """Return how long an unsent row must wait for the clock to be set, in milliseconds."""
        # The agent's own readings do not wait: they show that a gateway is running with an unset clock.
        if (
            not self.is_unset
            or row.context.clock_quality
            or row.context.boot_id != self._now.boot_id
            or not _may_wait(stream)
        ):
            return 0
        return max(0, row.mono_ms + self.grace_ms - mono_ms)

    def corrected(self, stream: str, rows: list[Row]) -> list[Row]:
        """Return the rows with the times to send."""
        return [row if row.context.clock_quality else self._corrected(stream, row) for row in rows]

    def _corrected(self, stream: str, row: Row) -> Row:
        boot = self._boots.get(row.context.boot_id)
        era = boot.era_of(stream, row) if boot is not None else None
        if era is None:
            return row
        context = Context(row.context.epoch, row.context.boot_id, era.clock_quality, row.context.meta_hash)
        return row._replace(t=row.mono_ms + era.offset_ms, context=context)


def _may_wait(stream: str) -> bool:
    return stream.startswith("telemetry/") and stream != telemetry(AGENT)


def _union(left: Ranges, right: Ranges) -> Ranges:
    union = Ranges((*left, *right))
    pairs = list(union)
    # Too many gaps to keep: rows inside them are sent as measured, which ``clock_set`` also explains.
    return union if len(pairs) <= _MAX_RANGES else Ranges([(pairs[0][0], pairs[-1][1])])


def _encode_boot(boot: Boot) -> dict[str, Any]:
    eras = [
        [era.at_ms, era.offset_ms, era.clock_quality, {name: list(ranges) for name, ranges in era.sent.items()}]
        for era in boot.eras
    ]
    return {"bid": boot.boot_id, "unset": boot.unset_ms, "now": boot.is_unset, "told": boot.announced_ms, "eras": eras}


def _parse_boot(value: object) -> Boot | None:
    match value:
        case {"bid": str(boot_id), "unset": int(unset), "now": bool(now), "told": told, "eras": list(eras)}:
            parsed = [era for entry in eras if (era := _parse_era(entry)) is not None]
            if _is_time(unset) and (told is None or _is_time(told)) and len(parsed) == len(eras):
                return Boot(boot_id, unset, now, told, parsed)
    return None


def _parse_era(value: object) -> Era | None:
    match value:
        case [int(at_ms), int(offset_ms), int(clock_quality), dict(sent)] if 0 < clock_quality <= 3 and _is_time(
            max(at_ms, abs(offset_ms))
        ):
            parsed = {str(name): _parse_ranges(pairs) for name, pairs in sent.items()}
            return Era(
                at_ms, offset_ms, clock_quality, {name: ranges for name, ranges in parsed.items() if ranges is not None}
            )
    return None


def _parse_ranges(value: object) -> Ranges | None:
    ranges = Ranges()
    for pair in value if isinstance(value, list) else []:
        match pair:
            case [int(start), int(stop)] if 0 < start < stop:
                ranges.add(start, stop)
            case _:
                return None
    return ranges


def _is_time(value: object) -> bool:
    return isinstance(value, int) and abs(value) <= LAST_MS
