"""Says whether a run lost, doubled, invented, altered or reordered a reading.

Three accounts are held against each other: what the devices sent, what the agent's store took in, and what came over
the wire. The subscriber's own account (:mod:`agent.fleet.gap_ledger`) must agree with the result.
"""

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.delivery import wire
from agent.fleet.gap_ledger import StreamId
from agent.fleet.subscriber import Arrival, Subscriber
from tests.support.agent_process import Accepted
from tests.support.recorder import Received

Content = Mapping[str, object]


def judge(messages: Iterable[Received], accepted: Accepted, sent: Mapping[str, Sequence[Content]]) -> list[str]:
    """Every fault found, one line each; nothing where all is well.

    ``messages``: in the order in which they came. ``sent``: stream -> what its device sent, in order, each content
    once; a row speaks of the content whose fields it has. Streams that are not in it are judged by number alone.
    """
    messages = list(messages)
    arrived: dict[tuple[StreamId, int], Mapping[str, Any]] = {}
    faults = list(_taken(messages, arrived))
    faults += _disordered(messages)
    faults += [f"lost: {of.stream} {number}" for of, number in accepted if (of, number) not in arrived]
    for key, row in arrived.items():
        if key not in accepted:
            faults.append(f"invented: {key[0].stream} {key[1]}, which the store never numbered")
        elif accepted[key] != row:
            faults.append(f"altered: {key[0].stream} {key[1]} was {accepted[key]}, came as {row}")
    for stream, contents in sent.items():
        faults += _unlike(stream, [arrived[key] for key in sorted(arrived) if key[0].stream == stream], contents)
    return faults


def _taken(messages: Sequence[Received], arrived: dict[tuple[StreamId, int], Mapping[str, Any]]) -> Iterator[str]:
    """Fill ``arrived`` as a subscriber would; tell where it or the wire is wrong."""
    subscriber = Subscriber()
    for message in messages:
        for item in subscriber.on_message(message.topic, message.payload, 0.0):
            if isinstance(item, Arrival):
                if (item.stream_id, item.seq) in arrived:
                    yield f"twice: {item.stream_id.stream} {item.seq} after removing duplicates"
                arrived[item.stream_id, item.seq] = item.fields
    if subscriber.invalid:
        yield f"refused: {subscriber.invalid} messages are not of the contract"
    for of, tally in subscriber.ledger.tally().items():
        if tally.late:
            yield f"late: {tally.late} of {of.stream}, by the subscriber's account"
        if tally.lost:
            yield f"given up: {tally.lost} of {of.stream}"


def _disordered(messages: Iterable[Received]) -> Iterator[str]:
    """Live messages of a stream must have rising numbers, and a number sent again must say what it said before."""
    next_live: dict[tuple[str, str], int] = {}
    said: dict[tuple[str, str, int], object] = {}
    for message in messages:
        address = wire.parse_topic(message.topic)
        if address is None or address.leaf.partition("/")[0] not in ("telemetry", "event"):
            continue
        batch = wire.parse_batch(wire.decode(message.payload))
        stream = (message.topic, batch.epoch)
        if not batch.late:
            if batch.seq < next_live.get(stream, 0):
                yield f"reordered: live {address.leaf} {batch.seq} came behind {next_live[stream] - 1}"
            next_live[stream] = batch.seq + len(batch.rows)
        for index, row in enumerate(batch.rows):
            if said.setdefault((*stream, batch.seq + index), row) != row:
                yield f"altered: {address.leaf} {batch.seq + index} said something else when it came again"


def _unlike(stream: str, rows: Sequence[Mapping[str, Any]], contents: Sequence[Content]) -> Iterator[str]:
    """The rows, by number, must be a part of what the device sent, in the same order, none twice."""
    names = sorted(contents[0]) if contents else []
    place: dict[Hashable, int] = {_words(content, names): at for at, content in enumerate(contents)}
    counts = Counter(_words(row, names) for row in rows)
    yield from (f"twice by content: {stream} {words}" for words, count in counts.items() if count > 1)
    yield from (f"invented: {stream} {words}, which the device never sent" for words in counts if words not in place)
    places = [place[words] for row in rows if (words := _words(row, names)) in place]
    yield from (
        f"reordered: {stream} has {later} before {earlier}"
        for earlier, later in zip(places[1:], places, strict=False)
        if earlier < later
    )


def _words(row: Mapping[str, object], names: Sequence[str]) -> Hashable:
    return tuple((name, row.get(name)) for name in names)


def holes(counts: Iterable[int]) -> int:
    """At how many places a count leaves something out."""
    values = sorted(counts)
    return sum(later - earlier > 1 for earlier, later in itertools.pairwise(values))
