"""Messages of config/desired that must not be accepted, each with the one reason that is reported.

The names follow the attacks that TUF's client tests know (arbitrary, endless data, fast-forward, rollback, freeze, mix
and match, wrong role, threshold), and what parsers of JSON have been caught at.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.base.timekeeping.trusted_time import TrustedTime, rfc_3339
from agent.update.signed.acceptance import Accepted, GatewayContext
from agent.update.signed.dsse import TRUST_TYPE
from agent.update.signed.version_mark import Mark
from tests.agent.update.signed.refused_documents import OF_THE_CONFIGURATION, OF_THE_DOCUMENT
from tests.agent.update.signed.refused_messages import BODY, OF_JSON, OF_THE_ENVELOPE, OF_THE_SIGNATURES
from tests.agent.update.signing_fakes import (
    CONFIG,
    DAY_MS,
    NOW_MS,
    document,
    envelope,
    message,
    outcome,
    refused,
    standing,
)

VECTORS = [*OF_JSON, *OF_THE_ENVELOPE, *OF_THE_SIGNATURES, *OF_THE_DOCUMENT, *OF_THE_CONFIGURATION]


@pytest.mark.parametrize(("raw", "code", "path"), [pytest.param(*one[1:], id=one[0]) for one in VECTORS])
def test_it_is_refused_with_its_own_code(raw: bytes, code: str, path: str) -> None:
    assert refused(raw) == (code, path)


def test_there_are_many_vectors_and_each_is_its_own() -> None:
    assert len(VECTORS) >= 120
    assert len({name for name, *_ in VECTORS}) == len(VECTORS)
    assert len({raw for _, raw, *_ in VECTORS}) >= len(VECTORS) - 5


def test_what_the_vectors_are_made_of_is_good() -> None:
    assert isinstance(outcome(message(BODY)), Accepted)


def test_a_gateway_that_trusts_nobody_takes_nothing() -> None:
    assert refused(message(), standing(trust=None)) == ("no_trust", "")


def test_a_floor_is_where_versions_begin_again() -> None:
    floored = standing(mark=Mark(17, "", root=2))
    assert refused(message(document(version=17)), floored) == ("rollback", "version")
    assert refused(message(document(version=18)), floored) == ("", "")


ORDER: list[tuple[str, Callable[[], bytes], GatewayContext]] = [
    ("too_large", lambda: b"[" * 65_537, standing()),
    ("malformed", lambda: b"[]", standing()),
    ("wrong_key", lambda: json.dumps(envelope(b"{}{", ("mallory",), TRUST_TYPE)).encode(), standing()),
    ("type", lambda: json.dumps(envelope(b"{}{", ("ayu", "budi"), TRUST_TYPE)).encode(), standing()),
    ("duplicate_keys", lambda: message(b'{"target": 1, "target": 2}'), standing()),
    ("target", lambda: message(_all_wrong(target={"gateways": ["kima-02"]})), standing()),
    ("rollback", lambda: message(_all_wrong(version=3)), standing()),
    ("expired", lambda: message(_all_wrong()), standing()),
    ("min_agent", lambda: message(_all_wrong(expires=document()["expires"])), standing()),
    ("local_key", lambda: message(_all_wrong(expires=document()["expires"], min_agent="0.1")), standing()),
    ("schema", lambda: message(document(config=_wrong_config())), standing()),
    ("driver_unknown", lambda: message(document(config={**_wrong_config(), "publish": {}})), standing()),
]


def _wrong_config() -> dict[str, Any]:
    sensors = [{"id": "a", "driver": "dust"}, {"id": "b", "driver": "ghost"}]
    return {"broker": CONFIG["broker"], "sensor": sensors, "publish": {"max_rows": 0}}


def _all_wrong(**changes: Any) -> dict[str, Any]:
    """A document at which everything after a step of the checks is wrong."""
    expired = {"issued": rfc_3339(NOW_MS - 9 * DAY_MS), "expires": rfc_3339(NOW_MS - 8 * DAY_MS)}
    wrong = {**_wrong_config(), "store": {}}
    return document(**{**expired, "min_agent": "9.0", "config": wrong, **changes})


@pytest.mark.parametrize(("code", "raw", "at"), [pytest.param(*one, id=one[0]) for one in ORDER])
def test_the_first_thing_wrong_is_what_is_reported(code: str, raw: Callable[[], bytes], at: GatewayContext) -> None:
    assert refused(raw(), at)[0] == code


def test_a_refusal_says_in_one_line_what_is_wrong() -> None:
    for _, raw, *_ in VECTORS:
        with pytest.raises(RejectedError) as caught:
            outcome(raw)
        assert caught.value.message
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 400


def test_an_old_clock_revives_nothing() -> None:
    """C08: what is behind the lower bound stays expired, whatever the clock shows."""
    dead = message(document(issued=rfc_3339(NOW_MS - 9 * DAY_MS), expires=rfc_3339(NOW_MS - 1000)))
    for is_set in (True, False):
        assert refused(dead, standing(trusted_time=TrustedTime(NOW_MS - 5 * DAY_MS, is_set, NOW_MS)))[0] == "expired"
