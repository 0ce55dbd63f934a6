"""JSON of signed documents: what is read, and that the worst bytes cost little. What is refused stands with the
messages that are made of it (``test_desired_refused.py``)."""

import json
import tracemalloc
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.base.errors import RejectedError
from agent.base.strict_json import MAX_DEPTH, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MIB = 1024 * 1024


@given(VALUES, st.booleans())
def test_whatever_json_writes_is_read_as_python_reads_it(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert loads(raw, MIB) == value


@given(st.binary(max_size=60) | st.text('{}[]",:\\0123eE+-.ntfu ', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(RejectedError):
        assert loads(raw, MIB) == json.loads(raw)


def test_brackets_in_a_text_are_no_depth() -> None:
    text = '\\"' + "[" * 100 + "\\"
    assert loads(json.dumps({"a": text, "b": [text]}).encode(), MIB) == {"a": text, "b": [text]}


@pytest.mark.parametrize(("depth", "good"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_the_depth_is_bounded(depth: int, good: bool) -> None:
    raw = b"[" * depth + b"]" * depth
    if good:
        loads(raw, MIB)
    else:
        with pytest.raises(RejectedError, match=f"depth {depth}"):
            loads(raw, MIB)


WORST = {
    "brackets": b"[" * MIB,
    "quotes": b'"' * MIB,
    "backslashes": b"\\" * MIB,
    "escaped quotes": b'\\"' * (MIB // 2),
    "a text that does not end": b'"' + b'\\"' * (MIB // 2 - 1),
    "texts that do not end": b'"\\' * (MIB // 2),
    "digits": b"9" * MIB,
    "digits behind a point": b"0." + b"9" * (MIB - 2),
    "an exponent": b"1e" + b"9" * (MIB - 2),
    "blanks": b" " * MIB,
    "lists": b"[" + b"[]," * (MIB // 3 - 2) + b"[]]",
    "one key": b"{" + b'"a":0,' * (MIB // 6 - 2) + b'"a":0}',
    "zero bytes": bytes(MIB),
}


@pytest.mark.parametrize("raw", WORST.values(), ids=WORST)
def test_the_worst_bytes_take_little_time(raw: bytes) -> None:
    """Work grows with the length and no faster. Sixteen times a message, in processor time, whatever else runs."""
    begin = process_time()
    with suppress(RejectedError):
        loads(raw, MIB)
    assert process_time() - begin < 5


@pytest.mark.parametrize("raw", WORST.values(), ids=WORST)
def test_the_worst_bytes_take_little_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with suppress(RejectedError):
            loads(raw[:65_536], 65_536)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_a_hundred_megabytes_are_not_looked_at() -> None:
    raw = bytes(100 * MIB)
    begin = process_time()
    with pytest.raises(RejectedError) as caught:
        loads(raw, 65_536, "x")
    assert (caught.value.code, caught.value.path) == ("too_large", "x")
    assert process_time() - begin < 1
