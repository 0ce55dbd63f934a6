"""Chains of roots: which lead on, and which do not (the root cases of TUF's client tests, and E16)."""

import json
import tracemalloc
from dataclasses import replace
from time import process_time

import pytest

from agent.base.errors import RejectedError
from agent.update.signed.dsse import CONFIG_TYPE
from agent.update.signed.trust import (
    MAX_CHAIN_BYTES,
    MAX_ROOTS,
    Floor,
    Followed,
    Root,
    adopt,
    encode_root,
    follow,
    format_fingerprint,
    parse_chain,
    parse_root,
)
from tests.agent.update.signing_fakes import DAY_MS, NOW_MS, Verifier, chain, envelope, key, root

ONE = root(1)
TWO = root(2, root=("budi citra dewi", 2))
THREE = root(3, root=("dewi eka farid", 2))


def _follow(raw: bytes, trusted: Root = ONE) -> Followed:
    return Verifier().run(follow(raw, trusted))


def _why(followed: Followed) -> tuple[str, str]:
    return (followed.rejected.code, followed.rejected.path) if followed.rejected else ("", "")


def test_a_root_signed_by_the_old_keys_and_by_its_own_is_taken() -> None:
    reached = _follow(chain((ONE, "ayu budi"), (TWO, "budi citra")))
    assert (reached.root, reached.payload, reached.rejected) == (TWO, encode_root(TWO), None)
    assert reached.payload is not None
    assert parse_root(reached.payload) == TWO


def test_a_gateway_that_was_away_for_long_goes_step_by_step() -> None:
    raw = chain((ONE, "ayu budi"), (TWO, "ayu budi citra"), (THREE, "budi citra dewi eka"))
    assert _follow(raw).root == THREE
    assert _follow(raw, TWO).root == THREE


def test_the_list_as_it_is_known_brings_nothing_and_asks_nothing() -> None:
    verifier = Verifier()
    reached = verifier.run(follow(chain((ONE, "ayu budi"), (TWO, "budi citra")), TWO))
    assert (reached, verifier.batches) == (Followed(TWO), [])


def test_expired_roots_lead_to_the_next() -> None:
    old = root(1, issued_ms=NOW_MS - 900 * DAY_MS, expires_ms=NOW_MS - 800 * DAY_MS)
    assert _follow(chain((TWO, "ayu budi citra")), old).root == TWO


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("", "unsigned"),
        ("mallory", "wrong_key"),
        ("ayu", "threshold"),
        ("budi", "threshold"),
        ("budi budi", "same_key"),
        ("ayu budi", "threshold"),
        ("citra dewi", "threshold"),
        ("ayu ayu citra", "threshold"),
        ("ayu citra", "threshold"),
        ("ayu budi dewi", ""),
        ("budi citra", ""),
    ],
)
def test_a_step_takes_the_thresholds_of_both_roots(names: str, code: str) -> None:
    """Root 1: two of ayu, budi, citra; root 2: two of budi, citra, dewi."""
    reached = _follow(chain((TWO, names)))
    assert _why(reached) == (code, "[0]" if code else "")
    assert (reached.root, reached.payload is None) == ((ONE, True) if code else (TWO, False))


def test_a_key_that_was_removed_signs_no_later_root() -> None:
    raw = chain((TWO, "budi citra"), (root(3), "ayu budi"))
    reached = _follow(raw)
    assert (reached.root, _why(reached)) == (TWO, ("threshold", "[1]"))


def test_a_root_is_not_skipped() -> None:
    reached = _follow(chain((ONE, "ayu budi"), (THREE, "ayu budi citra dewi eka")))
    assert (reached.root, _why(reached)) == (ONE, ("root_jump", "[1]"))


def test_what_is_good_before_a_bad_root_is_taken() -> None:
    reached = _follow(chain((TWO, "budi citra"), (THREE, "mallory")))
    assert (reached.root, reached.payload, _why(reached)) == (TWO, encode_root(TWO), ("wrong_key", "[1]"))


def test_a_shorter_list_takes_nothing_back() -> None:
    assert _follow(chain((ONE, "ayu budi")), THREE) == Followed(THREE)


def test_another_root_of_the_same_version_is_told() -> None:
    reached = _follow(chain((root(1, config=("mallory", 1)), "ayu budi"), (TWO, "budi citra")))
    assert (reached.root, _why(reached)) == (ONE, ("equivocation", "[0]"))


def test_a_configuration_is_no_root_even_if_root_keys_signed_it() -> None:
    raw = json.dumps([envelope(encode_root(TWO), ["budi", "citra"], CONFIG_TYPE)]).encode()
    assert _why(_follow(raw)) == ("type", "[0]")


@pytest.mark.parametrize(
    ("floors", "expected"),
    [((None, None), None), ((90, None), Floor(2, 90, TWO.issued_ms)), ((90, 40), Floor(3, 40, THREE.issued_ms))],
)
def test_the_last_floor_on_the_way_counts(floors: tuple[int | None, int | None], expected: Floor | None) -> None:
    two = _again(replace(TWO, floor=floors[0]))
    three = _again(replace(THREE, floor=floors[1]))
    assert _follow(chain((two, "budi citra"), (three, "citra dewi eka budi"))).floor == expected


def _again(changed: Root) -> Root:
    return parse_root(encode_root(changed))


def test_the_first_list_is_trusted_from_its_oldest_root_on() -> None:
    reached = Verifier().run(adopt(chain((ONE, "ayu budi"), (TWO, "budi citra"))))
    assert (reached.root, reached.rejected) == (TWO, None)


def test_a_list_may_begin_with_any_version() -> None:
    reached = Verifier().run(adopt(chain((TWO, "budi citra"))))
    assert (reached.root, reached.payload) == (TWO, encode_root(TWO))


def test_the_floor_of_the_first_root_counts_too() -> None:
    begin = _again(replace(ONE, floor=12))
    assert Verifier().run(adopt(chain((begin, "ayu budi")))).floor == Floor(1, 12, ONE.issued_ms)
    assert Verifier().run(adopt(chain((begin, "ayu budi"), (TWO, "budi citra")))).floor == Floor(1, 12, ONE.issued_ms)


def test_a_first_root_that_its_own_keys_did_not_sign_is_refused() -> None:
    with pytest.raises(RejectedError) as caught:
        Verifier().run(adopt(chain((ONE, "ayu"))))
    assert caught.value.code == "threshold"


def test_as_many_roots_as_fit_are_followed_in_bounded_time_and_few_batches() -> None:
    roots = [(root(version), "ayu budi") for version in range(1, 151)]
    raw, verifier = chain(*roots), Verifier()
    begin = process_time()
    reached = verifier.run(follow(raw, ONE))
    assert reached.root.version == 150
    assert process_time() - begin < 10
    assert max(verifier.batches) <= 4096
    assert sum(verifier.batches) == 149 * 2 * 3


def test_a_hostile_list_costs_one_batch() -> None:
    names = " ".join(["mallory"] * 16)
    raw, verifier = chain(*((root(version), names) for version in range(2, 70))), Verifier()
    assert verifier.run(follow(raw, ONE)).root == ONE
    assert len(verifier.batches) == 1
    assert verifier.batches[0] <= 4096


def test_a_list_goes_on_with_its_newest_roots_where_it_is_full() -> None:
    verifier = Verifier()
    reached = verifier.run(follow(chain(*((root(version), "ayu budi") for version in range(1, 151))), ONE)).root
    for begin in (150, 140, 151):
        newest = chain(*((root(version), "ayu budi") for version in range(begin, begin + 20)))
        assert verifier.run(follow(newest, reached)).root.version == begin + 19
    gap = chain(*((root(version), "ayu budi") for version in range(152, 160)))
    assert verifier.run(follow(gap, reached)).root == reached


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[" + b"{}," * MAX_ROOTS + b"{}]", "malformed"),
        (b"[" + b"1," * (MAX_CHAIN_BYTES // 2 - 2) + b"1]", "malformed"),
        (b"[" + b"[]," * (MAX_CHAIN_BYTES // 3 - 2) + b"1]", "malformed"),
        (b"{" + b",".join(b'"%x":{}' % number for number in range(25_000)) + b"}", "malformed"),
        (b'"' + b"\\u00e9" * (MAX_CHAIN_BYTES // 6 - 2) + b'"', "malformed"),
        (b" " * (MAX_CHAIN_BYTES + 1), "too_large"),
    ],
    ids=["objects", "numbers", "lists", "keys", "text", "blank"],
)
def test_a_hostile_list_takes_little_memory(raw: bytes, code: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RejectedError) as caught:
            parse_chain(raw)
        assert tracemalloc.get_traced_memory()[1] < 32 * MAX_CHAIN_BYTES
    finally:
        tracemalloc.stop()
    assert caught.value.code == code


BODY = json.loads(encode_root(ONE))
KEY = key("ayu").hex()
WRONG_ROOTS = {
    "no table": [],
    "no version": {name: value for name, value in BODY.items() if name != "version"},
    "a key beside": BODY | {"groups": {}},
    "version 0": BODY | {"version": 0},
    "version true": BODY | {"version": True},
    "version beyond 2^53": BODY | {"version": 2**53 + 1},
    "a floor below 0": BODY | {"floor": -1},
    "a floor of null in words": BODY | {"floor": "none"},
    "no date": BODY | {"expires": "soon"},
    "expired before it was issued": BODY | {"expires": BODY["issued"]},
    "a role is missing": BODY | {"roles": {"root": BODY["roles"]["root"]}},
    "a role too many": BODY | {"roles": BODY["roles"] | {"guest": BODY["roles"]["root"]}},
    **{
        f"a role: {name}": BODY | {"roles": BODY["roles"] | {"config": role}}
        for name, role in {
            "is a list": [KEY],
            "without keys": {"keys": [], "threshold": 0},
            "threshold 0": {"keys": [KEY], "threshold": 0},
            "threshold true": {"keys": [KEY], "threshold": True},
            "threshold above its keys": {"keys": [KEY], "threshold": 2},
            "the same key twice": {"keys": [KEY, KEY], "threshold": 2},
            "the same key in capitals": {"keys": [KEY, KEY.upper()], "threshold": 2},
            "a short key": {"keys": [KEY[:-2]], "threshold": 1},
            "a key with blanks": {"keys": [" ".join([KEY[:31], KEY[31:62]]) + "  "], "threshold": 1},
            "a key that is not a string": {"keys": [7], "threshold": 1},
            "17 keys": {"keys": [key(str(n)).hex() for n in range(17)], "threshold": 1},
            "something beside": {"keys": [KEY], "threshold": 1, "weight": 2},
        }.items()
    },
}


@pytest.mark.parametrize("body", WRONG_ROOTS.values(), ids=WRONG_ROOTS)
def test_a_root_that_is_none(body: object) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_root(json.dumps(body).encode(), "[3]")
    assert (caught.value.code, caught.value.path) == ("malformed", "[3]")


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"[1]", b"null", b'{"roots": []}'])
def test_a_chain_that_is_none(raw: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_chain(raw)
    assert caught.value.code == "malformed"


def test_a_root_is_written_as_it_is_read() -> None:
    again = _again(THREE)
    assert again == THREE
    assert len(again.fingerprint) == 64


def test_a_fingerprint_is_read_out_in_eight_groups() -> None:
    assert format_fingerprint("0123456789abcdef" * 4) == "0123 4567 89ab cdef 0123 4567 89ab cdef"
