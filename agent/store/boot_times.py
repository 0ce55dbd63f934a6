"""When rows were really measured whose time was not known then: by the offset of their boot, once that is known.

A row that was measured while the clock was unset keeps its time since boot. What it shows as ``t`` and ``cq`` is
decided when it is first sent, and stays: each time the offset of the boot changes, the rows that were sent before are
noted with it. Nothing of this changes the rows themselves, of which there may be a million.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.base.clock_trust import LAST_MS, STEP_MS
from agent.base.ranges import Ranges
from agent.base.reading import AGENT, Context, Row, telemetry
from agent.store.stream_account import StreamAccount

_MAX_BOOTS = 16
_MAX_ERAS = 4
_MAX_RANGES = 64
_TELL_MS = 60_000

Sent = Mapping[str, Ranges]
"""Numbers by stream."""


@dataclass(frozen=True, slots=True)
class Era:
    """From ``at_ms`` of the boot on it was known that it began at ``offset_ms`` (Unix milliseconds), with quality
    ``cq``. It corrects what was measured before, but for ``sent``: the numbers that had been sent by then."""

    at_ms: int
    offset_ms: int
    clock_quality: int
    sent: Sent


@dataclass(slots=True)
class Boot:
    """``unset_ms``: what the unset clock takes, or took, for the beginning of the boot. ``is_unset``: whether it is
    unset now. ``told_ms``: the offset that subscribers were told of."""

    boot_id: str
    unset_ms: int = 0
    is_unset: bool = False
    told_ms: int | None = None
    eras: list[Era] = field(default_factory=list)

    def era_of(self, stream: str, row: Row) -> Era | None:
        """Under which offset a row was first sent, or is to be sent; ``None``: as it was measured."""
        found: Era | None = None
        for era in self.eras:
            if stream in era.sent and row.seq in era.sent[stream]:
                return found
            if era.at_ms >= row.mono_ms:
                found = era
        return found

    @property
    def needed(self) -> bool:
        """Whether there may be rows that were measured while the clock was unset."""
        return self.is_unset or bool(self.eras)


class BootTimes:
    """``bid``: the boot that runs. ``grace_ms``: how long its readings wait for the clock to be set."""

    def __init__(self, boot_id: str) -> None:
        self._now = Boot(boot_id)
        self._boots: dict[str, Boot] = {boot_id: self._now}
        self._sent: defaultdict[str, Ranges] = defaultdict(Ranges)
        self._tell_ms = 0
        self.grace_ms = 600_000

    @property
    def waiting(self) -> bool:
        """Whether the clock is unset."""
        return self._now.is_unset

    def restore(self, text: str) -> None:
        """Take over what :meth:`saved` gave before this start, as far as it makes sense."""
        try:
            found = json.loads(text or "[]")
        except (ValueError, RecursionError):
            return
        for one in found if isinstance(found, list) else []:
            boot = _read_boot(one)
            if boot is not None:
                self._boots[boot.boot_id] = boot
        self._now = self._boots.setdefault(self._now.boot_id, self._now)

    def saved(self) -> str:
        """What is to be known at the next start: this boot, and the newest of those whose rows need it."""
        older = [boot for boot in self._boots.values() if boot is not self._now and boot.needed]
        kept = [*older[-_MAX_BOOTS:], self._now]
        self._boots = {boot.boot_id: boot for boot in kept}
        return json.dumps([_written(boot) for boot in kept if boot.needed], separators=(",", ":"))

    def unset(self, offset_ms: int) -> bool:
        """The clock is unset, and takes this for the beginning of the boot; whether that is news."""
        boot = self._now
        if boot.is_unset and abs(boot.unset_ms - offset_ms) <= STEP_MS:
            return False
        boot.is_unset, boot.unset_ms, boot.told_ms = True, offset_ms, None
        return True

    def set(self, mono_ms: int, offset_ms: int, clock_quality: int, accounts: Mapping[str, StreamAccount]) -> bool:
        """The clock is set (``cq`` above 0); whether that is news for any row."""
        boot = self._now
        eras = boot.eras
        better = bool(eras) and (
            abs(eras[-1].offset_ms - offset_ms) > STEP_MS or clock_quality > eras[-1].clock_quality
        )
        if not (boot.is_unset or better):
            return False
        boot.is_unset = False
        if len(eras) >= _MAX_ERAS:  # a clock that is set again and again: what it said last counts
            eras[-1] = Era(mono_ms, offset_ms, clock_quality, eras[-1].sent)
            return True
        sent = {name: _joined(account.settled, self._sent[name]) for name, account in accounts.items()}
        eras.append(
            Era(mono_ms, offset_ms, clock_quality, {name: ranges for name, ranges in sent.items() if len(ranges)})
        )
        return True

    def to_tell(self, mono_ms: int) -> tuple[int, int] | None:
        """What subscribers have to be told, once and at most once a minute: the time that the unset clock would show
        now, and the true one."""
        boot = self._now
        if not boot.eras or boot.is_unset or mono_ms < self._tell_ms:
            return None
        offset_ms = boot.eras[-1].offset_ms
        if boot.told_ms is not None and abs(offset_ms - boot.told_ms) <= STEP_MS:
            return None
        boot.told_ms = offset_ms
        self._tell_ms = mono_ms + _TELL_MS
        return boot.unset_ms + mono_ms, offset_ms + mono_ms

    def sent(self, stream: str, start: int, stop: int) -> None:
        """The rows ``[start, stop)`` are sent: their time does not change any more."""
        self._sent[stream].add(start, stop)

    def wait_ms(self, stream: str, row: Row, mono_ms: int) -> int:
        """How long a row that was not sent yet has to wait for the clock to be set."""
        # The agent's own readings are about now: they say that a gateway is there whose clock is unset.
        if (
            not self.waiting
            or row.context.clock_quality
            or row.context.boot_id != self._now.boot_id
            or not _may_wait(stream)
        ):
            return 0
        return max(0, row.mono_ms + self.grace_ms - mono_ms)

    def corrected(self, stream: str, rows: list[Row]) -> list[Row]:
        """The rows with the times that they are sent with."""
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


def _joined(one: Ranges, other: Ranges) -> Ranges:
    joined = Ranges((*one, *other))
    pairs = list(joined)
    # Too many holes to keep: what lies in them goes out as it was measured, which ``clock_set`` explains as well.
    return joined if len(pairs) <= _MAX_RANGES else Ranges([(pairs[0][0], pairs[-1][1])])


def _written(boot: Boot) -> dict[str, Any]:
    eras = [
        [era.at_ms, era.offset_ms, era.clock_quality, {name: list(ranges) for name, ranges in era.sent.items()}]
        for era in boot.eras
    ]
    return {"bid": boot.boot_id, "unset": boot.unset_ms, "now": boot.is_unset, "told": boot.told_ms, "eras": eras}


def _read_boot(value: object) -> Boot | None:
    match value:
        case {"bid": str(boot_id), "unset": int(unset), "now": bool(now), "told": told, "eras": list(eras)}:
            read = [era for one in eras if (era := _read_era(one)) is not None]
            if _is_time(unset) and (told is None or _is_time(told)) and len(read) == len(eras):
                return Boot(boot_id, unset, now, told, read)
    return None


def _read_era(value: object) -> Era | None:
    match value:
        case [int(at_ms), int(offset_ms), int(clock_quality), dict(sent)] if 0 < clock_quality <= 3 and _is_time(
            max(at_ms, abs(offset_ms))
        ):
            read = {str(name): _read_ranges(pairs) for name, pairs in sent.items()}
            return Era(
                at_ms, offset_ms, clock_quality, {name: ranges for name, ranges in read.items() if ranges is not None}
            )
    return None


def _read_ranges(value: object) -> Ranges | None:
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
