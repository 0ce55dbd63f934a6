"""Whether a gateway kept its promises, from what its sensors said, what a broker took, and what the store gave."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.store.stream_account import StreamAccount
from tests.outside.unruly_broker import Arrival, number_of

STARTS_WITHIN_S = 10.0
_PROMPT_S = 2.5
_MAX_TARDY = 0.25


class Violation(Exception):
    """A promise was broken; the text says which."""


@dataclass(slots=True)
class Excuses:
    """What may be missing. ``interruptions``: readings that were said from the first time until the first one that
    arrived after the second; ``numbers``: by sensor, what was only in a file that was destroyed while no agent ran;
    ``left``: readings of which the agent said that it could neither write nor deliver them."""

    interruptions: list[tuple[float, float]] = field(default_factory=list)
    numbers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    left: int = 0


def check_all(
    arrivals: Sequence[Arrival],
    said: Mapping[str, Mapping[int, float]],
    excuses: Excuses,
    accounts: Mapping[str, StreamAccount],
) -> None:
    """Every promise that is kept at the end of a run. Raises :class:`Violation`."""
    check_numbers(arrivals)
    lost = rows_lost(arrivals)
    counted: Counter[str] = Counter()
    for row in lost:
        counted[str(row["stream"])] += int(str(row["n"]))
    for sensor, times in said.items():
        check_missing(sensor, times, arrivals, excuses, counted[f"telemetry/{sensor}"])
    check_accounts(accounts, arrivals, lost)
    check_sizes(arrivals)


def check_numbers(arrivals: Iterable[Arrival]) -> None:
    """A number names one reading, and a reading has one number."""
    owner: dict[tuple[str, str, int], int] = {}
    number_of_reading: dict[tuple[str, int], tuple[str, int]] = {}
    for arrival in arrivals:
        if not arrival.leaf.startswith("telemetry/dust-"):
            continue
        for at, row in enumerate(arrival.batch.rows):
            key, reading = (arrival.batch.epoch, arrival.batch.seq + at), number_of(row)
            if owner.setdefault((arrival.leaf, *key), reading) != reading:
                raise Violation(f"{arrival.leaf} {key} was given to two readings")
            if number_of_reading.setdefault((arrival.leaf, reading), key) != key:
                raise Violation(f"{arrival.leaf}: reading {reading} came under two numbers")


def rows_lost(arrivals: Iterable[Arrival]) -> list[Mapping[str, object]]:
    """Every ``rows_lost``, once."""
    found: dict[tuple[str, int], Mapping[str, object]] = {}
    for arrival in arrivals:
        if arrival.leaf == "event/_agent":
            for at, row in enumerate(arrival.batch.rows):
                if row["ev"] == "rows_lost":
                    found[arrival.batch.epoch, arrival.batch.seq + at] = row
    return list(found.values())


def check_missing(
    sensor: str, said: Mapping[int, float], arrivals: Iterable[Arrival], excuses: Excuses, counted: int
) -> None:
    """Every reading that was accepted arrived, or is counted."""
    arrived = {
        number_of(row) for one in arrivals if one.taken and one.leaf == f"telemetry/{sensor}" for row in one.batch.rows
    }
    windows = [(begin, _back_s(said, arrived, started)) for begin, started in excuses.interruptions]
    missing = [
        number
        for number, at_s in said.items()
        if number < len(said) - 1
        and number not in arrived
        and number not in excuses.numbers[sensor]
        and not any(begin <= at_s <= end for begin, end in windows)
    ]
    if len(missing) > counted + excuses.left:
        more = f"{counted} counted, {excuses.left} left"
        raise Violation(f"{sensor}: {len(missing)} readings are missing ({missing[:8]} …), {more}")


def _back_s(said: Mapping[int, float], arrived: Collection[int], started_s: float) -> float:
    """When the first reading was said that arrived after a start."""
    later = (at_s for number, at_s in said.items() if at_s >= started_s and number in arrived)
    return min(min(later, default=started_s), started_s + STARTS_WITHIN_S)


def check_accounts(
    accounts: Mapping[str, StreamAccount], arrivals: Iterable[Arrival], lost: Iterable[Mapping[str, object]]
) -> None:
    """Every number that the store has given and does not owe any more was taken by the broker, or is named in a
    ``rows_lost``."""
    known: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one in arrivals:
        if one.taken:
            known[one.leaf, one.batch.epoch].update(range(one.batch.seq, one.batch.seq + len(one.batch.rows)))
    for row in lost:
        if isinstance(row.get("from"), int):
            known[str(row["stream"]), str(row["ep"])].update(range(int(str(row["from"])), int(str(row["to"])) + 1))
    for name, account in accounts.items():
        for _, epoch in account.epochs:
            if epoch:
                start, stop = account.span(epoch)
                owed = {number for gap in account.settled.gaps(start, stop) for number in range(*gap)}
                gone = set(range(start, stop)) - owed - known[name, epoch]
                if gone:
                    numbers = sorted(gone)
                    raise Violation(f"{name} {epoch}: {len(gone)} numbers vanished uncounted, from {numbers[0]} on")


def check_sizes(arrivals: Iterable[Arrival]) -> None:
    """A backlog comes in whole messages."""
    late = [len(one.batch.rows) for one in arrivals if one.late and one.leaf.startswith("telemetry/dust-")]
    if sum(late) > 300 and sum(late) / len(late) < 3:
        raise Violation(f"{sum(late)} late rows in {len(late)} messages")


def check_prompt(said: Mapping[int, float], taken: Mapping[int, float], begin_s: float, end_s: float) -> None:
    """While all is well, a reading waits for its commit and its message only as long as it is configured."""
    waits = [taken[number] - at_s for number, at_s in said.items() if begin_s <= at_s <= end_s and number in taken]
    tardy = [wait_s for wait_s in waits if wait_s > _PROMPT_S]
    if len(waits) > 20 and len(tardy) > _MAX_TARDY * len(waits):
        raise Violation(f"{len(tardy)} of {len(waits)} readings came {_PROMPT_S} to {max(tardy):.1f} s late")


def check_room(arrivals: Iterable[Arrival], bursts: Sequence[tuple[float, float]]) -> None:
    """While the disk takes what comes, sensors wait instead of pushing readings out of memory. ``bursts``: Unix
    seconds."""
    for row in rows_lost(arrivals):
        at_s = int(str(row["t"])) / 1000
        if row["why"] == "memory" and any(begin <= at_s <= end for begin, end in bursts):
            raise Violation(f"{row['n']} readings of {row['stream']} were dropped while the disk was well")
