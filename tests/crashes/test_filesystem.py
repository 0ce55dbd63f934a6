"""What may be on a disk after a cut, for operations of which that is known."""

import random
from collections.abc import Sequence

from tests.crashes.filesystem import Disk, Image
from tests.crashes.journal import MakeDirectory, Names, Operation, Resize, Sync, SyncDirectory, Write

CREATE = Names("", (("a", 1),))
DRAWS = 300


def disk(*operations: Operation, image: Image | None = None, lies: bool = False) -> Disk:
    disk = Disk(image or {}, lies=lies)
    for operation in operations:
        disk.apply(operation)
    return disk


def possible(*operations: Operation, image: Image | None = None) -> list[Image]:
    """All that a random part of the operations leaves, each once."""
    cut = disk(*operations, image=image)
    found: list[Image] = []
    for seed in range(DRAWS):
        drawn = cut.some(random.Random(seed))
        if drawn not in found:
            found.append(drawn)
    return found


def test_content_and_name_are_durable_only_once_each_was_synced() -> None:
    write = Write(1, 0, b"text")
    assert disk(CREATE, write).synced_only() == {}
    assert disk(CREATE, write).everything() == {"a": b"text"}
    assert disk(CREATE, write, Sync(1)).synced_only() == {}
    assert disk(CREATE, write, SyncDirectory("")).synced_only() == {"a": b""}
    assert disk(CREATE, write, Sync(1), SyncDirectory("")).synced_only() == {"a": b"text"}


def test_a_disk_that_lies_has_nothing_for_certain() -> None:
    operations: Sequence[Operation] = (CREATE, Write(1, 0, b"text"), Sync(1), SyncDirectory(""))
    assert disk(*operations, lies=True).synced_only() == {}


def test_a_renamed_file_is_under_the_old_name_or_the_new_one() -> None:
    rename = Names("", (("a", None), ("b", 1)))
    before: Image = {"a": b"new", "b": b"old"}
    assert disk(rename, image=before).synced_only() == before
    assert sorted(map(str, possible(rename, image=before))) == sorted(map(str, [before, {"b": b"new"}]))


def test_a_sector_is_written_whole_and_any_of_them_may_be() -> None:
    old, new = b"-" * 1024, b"+" * 1024
    found = possible(Write(1, 0, new), image={"a": old})
    assert {(image["a"][0], image["a"][511], image["a"][512], image["a"][1023]) for image in found} == {
        tuple(f"{first}{first}{second}{second}".encode()) for first in "-+" for second in "-+"
    }


def test_a_sector_goes_through_its_states_in_order() -> None:
    found = possible(Write(1, 0, b"one"), Write(1, 3, b"two"), image={"a": b"......"})
    assert {image["a"] for image in found} == {b"......", b"one...", b"onetwo"}


def test_a_torn_write_has_its_first_sectors_alone() -> None:
    cut = disk(Write(1, 0, b"+" * 1536), image={"a": b"-" * 1536})
    torn = {image["a"] for seed in range(20) if (image := cut.torn(random.Random(seed)))}
    assert torn == {b"+" * 512 + b"-" * 1024, b"+" * 1024 + b"-" * 512}
    cut.apply(Sync(1))
    assert cut.torn(random.Random(0)) is None


def test_a_file_grows_and_shrinks() -> None:
    cut = disk(Resize(1, 4, shrinks=False), Write(1, 6, b"x"), image={"a": b"ab"})
    assert cut.everything() == {"a": b"ab\0\0\0\0x"}
    cut.apply(Resize(1, 1, shrinks=True))
    assert cut.everything() == {"a": b"a"}
    assert cut.synced_only() == {"a": b"ab"}


def test_without_its_directory_a_file_is_not_there() -> None:
    operations = (MakeDirectory("d"), Names("d", (("a", 1),)), Write(1, 0, b"x"), Sync(1), SyncDirectory("d"))
    assert disk(*operations).synced_only() == {}
    assert disk(*operations, SyncDirectory("")).synced_only() == {"d/": b"", "d/a": b"x"}
