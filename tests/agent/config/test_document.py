"""The document that maintainers sign, as it is written and read."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.base.errors import RejectedError
from agent.config.document import CONFIRM_S, encode_document, fingerprint, parse_document, release
from tests.agent.update.signing_fakes import CONFIG, DAY_MS, NOW_MS

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=5), st.integers(1, 2**53), st.integers(0, 9999), st.integers(1, 86_400))
def test_what_is_written_is_read_again(gateways: list[str], version: int, days: int, confirm_s: int) -> None:
    expires_ms = NOW_MS + (days + 1) * DAY_MS
    raw = encode_document(CONFIG, gateways, version, NOW_MS, expires_ms, confirm_s, "1.2.3")
    document = parse_document(raw)
    assert (document.gateways, document.version) == (tuple(gateways), version)
    assert (document.issued_ms, document.expires_ms) == (NOW_MS, expires_ms)
    assert (document.confirm_s, document.min_agent) == (confirm_s, "1.2.3")
    assert document.config == CONFIG
    assert document.hash == fingerprint(raw)


def test_what_is_not_said_has_a_default() -> None:
    document = parse_document(encode_document(CONFIG, ["batua-01"], 1, NOW_MS, NOW_MS + DAY_MS))
    assert (document.confirm_s, release(document.min_agent)) == (CONFIRM_S, (0, 0, 0))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"gateways": []}, "target"),
        ({"gateways": ["*"]}, "target.gateways[0]"),
        ({"version": 0}, "version"),
        ({"confirm_s": 0}, "confirm_s"),
        ({"min_agent": "newest"}, "min_agent"),
    ],
)
def test_what_no_gateway_would_read_is_not_written(changes: dict[str, Any], path: str) -> None:
    whole: dict[str, Any] = {"gateways": ["batua-01"], "version": 1, **changes}
    with pytest.raises(RejectedError) as caught:
        encode_document(CONFIG, issued_ms=NOW_MS, expires_ms=NOW_MS + DAY_MS, **whole)
    assert caught.value.path == path


def test_a_date_of_toml_has_no_place_in_json() -> None:
    with pytest.raises(TypeError):
        encode_document({"since": datetime.date(2026, 11, 24)}, ["batua-01"], 1, NOW_MS, NOW_MS + DAY_MS)


@pytest.mark.parametrize(
    ("older", "newer"), [("0.4.0", "0.4.1"), ("0.9.9", "0.10.0"), ("0.4", "0.4.1"), ("1.2.3rc1", "2.0"), ("x", "0.0.1")]
)
def test_releases_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert release(older) < release(newer)
