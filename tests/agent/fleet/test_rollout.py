"""What a fleet tells, what is sent to it, and what its answers mean."""

import json
from typing import Any

import pytest

from agent.base.errors import RejectedError
from agent.config.document import parse_document
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import (
    RolloutMessage,
    RolloutTarget,
    existing_message,
    judge,
    new_message,
    next_version,
    signed_document,
)
from agent.update.signed.dsse import CONFIG_TYPE, encode, parse, pre_authentication, to_json

BASE = "makassar/v1/health/batua/batua-01"
NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
WANTED = RolloutTarget("batua-01", {"publish": {"max_rows": 100}}, 300.0, 30 * DAY_MS)


def sign(message: bytes) -> dict[bytes, bytes]:
    """Signatures as they are made of nothing but key and message, which is all that is relied on."""
    return {b"k" * 32: (message[-32:] * 2).ljust(64, b"s")}


def told(**changes: Any) -> bytes:
    """A ``config/reported``."""
    return json.dumps(
        {
            "v": 1,
            "version": 0,
            "hash": "",
            "state": "confirmed",
            "cause": None,
            "running": {"version": 0, "hash": ""},
            "drift": [],
            "trust_version": 1,
            "t": NOW_MS,
            **changes,
        }
    ).encode()


def gateway(desired: bytes = b"", **report: Any) -> ReportedGateway:
    """A gateway that is online and reports this."""
    fleet = Fleet()
    fleet.on_message(f"{BASE}/state", b'{"v":1,"online":true,"t":1}')
    fleet.on_message(f"{BASE}/config/reported", told(**report))
    fleet.on_message(f"{BASE}/config/desired", desired)
    found = fleet.get("batua-01")
    assert found is not None
    return found


def answered(sent: RolloutMessage, state: str, **changes: Any) -> ReportedGateway:
    """The gateway once it has reported of an order, which stands retained."""
    ours = {"version": sent.version, "hash": sent.hash}
    runs = ours if state in ("confirmed", "probation") else {"version": 0, "hash": ""}
    return gateway(sent.message, **{**ours, "running": runs, "state": state, "t": NOW_MS + 1, **changes})


SENT = new_message(WANTED, gateway(), 4, sign, NOW_MS)


def test_an_order_is_for_one_gateway_signed_and_above_what_it_has() -> None:
    document = parse_document(parse(SENT.message).payload)
    assert (document.gateways, document.version, document.hash) == (("batua-01",), 4, SENT.hash)
    assert document.expires_ms - document.issued_ms == 30 * DAY_MS
    with pytest.raises(RejectedError, match="already has version 4"):
        new_message(WANTED, gateway(), 4, sign, NOW_MS, signed=4)
    assert new_message(WANTED, gateway(version=900_000), 5, sign, NOW_MS, signed=4).version == 5


def test_the_next_version_is_above_what_was_signed_and_that_of_the_change_that_goes_on() -> None:
    assert next_version([], []) == 1
    assert next_version([2, 0, 7], []) == 8
    assert next_version([2], [SENT]) == 4
    assert next_version([4], [SENT]) == 5
    assert next_version([4], [], floor=1000) == 1001


def test_a_signed_document_is_one_that_is_recognised_and_for_this_gateway() -> None:
    found = signed_document(SENT.message, "batua-01", lambda envelope: True)
    assert found is not None
    assert found.version == 4
    assert signed_document(SENT.message, "batua-01", lambda envelope: False) is None
    assert signed_document(SENT.message, "kima-02", lambda envelope: True) is None
    assert signed_document(b"{}", "batua-01", lambda envelope: True) is None


@pytest.mark.parametrize(
    ("state", "changes", "verdict"),
    [
        ("applied", {}, "waiting"),
        ("probation", {}, "waiting"),
        ("confirmed", {}, "confirmed"),
        ("rolled_back", {}, "failed"),
        ("rejected", {"version": 0, "hash": ""}, "failed"),
        ("confirmed", {"hash": "00"}, "failed"),
        ("confirmed", {"version": 5, "hash": "00"}, "failed"),
        ("confirmed", {"version": 3, "hash": "00"}, "waiting"),
        ("rolled_back", {"version": 3, "hash": "00"}, "waiting"),
    ],
)
def test_what_a_report_says_of_an_order(state: str, changes: dict[str, Any], verdict: str) -> None:
    assert judge(SENT, answered(SENT, state, **changes)).state == verdict


def test_the_report_that_stood_there_before_says_nothing() -> None:
    before = gateway(state="rejected", cause={"code": "jump", "message": "too far", "path": ""})
    sent = new_message(WANTED, before, 4, sign, NOW_MS)
    assert judge(sent, before).state == "waiting"
    after = answered(sent, "rejected", version=0, cause={"code": "wrong_key", "message": "no key", "path": ""})
    assert judge(sent, after).why == "rejected: wrong_key: no key"


def test_what_was_confirmed_is_done_and_what_is_under_way_goes_on() -> None:
    done = existing_message(WANTED, answered(SENT, "confirmed"), sign, NOW_MS)
    assert done is not None
    assert (done.done, done.version, judge(done, answered(SENT, "confirmed")).state) == (True, 4, "confirmed")
    for at in (answered(SENT, "probation"), gateway(SENT.message)):
        kept = existing_message(WANTED, at, sign, NOW_MS)
        assert kept is not None
        assert (kept.done, kept.message) == (False, SENT.message)


def test_what_can_lead_to_nothing_any_more_is_ordered_anew() -> None:
    assert existing_message(WANTED, answered(SENT, "rolled_back"), sign, NOW_MS) is None
    assert existing_message(WANTED, gateway(SENT.message, state="rejected"), sign, NOW_MS) is None
    assert existing_message(WANTED, gateway(SENT.message, version=5, hash="00"), sign, NOW_MS) is None
    assert existing_message(WANTED, gateway(SENT.message), sign, NOW_MS + 31 * DAY_MS) is None
    assert existing_message(WANTED, gateway(b""), sign, NOW_MS) is None


def test_what_stands_there_counts_only_with_our_signature_and_this_content() -> None:
    other = RolloutTarget("batua-01", {"publish": {"max_rows": 99}}, 300.0, DAY_MS)
    assert existing_message(other, gateway(SENT.message), sign, NOW_MS) is None
    payload = WANTED.payload(4, NOW_MS)
    forged = encode(to_json(CONFIG_TYPE, payload, {b"k" * 32: b"x" * 64}))
    assert existing_message(WANTED, gateway(forged), sign, NOW_MS) is None
    good = encode(to_json(CONFIG_TYPE, payload, sign(pre_authentication(CONFIG_TYPE, payload))))
    assert existing_message(WANTED, gateway(good), sign, NOW_MS) is not None


@pytest.mark.parametrize("code", ["rollback", "jump"])
def test_a_refusal_for_the_gateway_s_own_record_says_nothing_of_the_others(code: str) -> None:
    at = answered(SENT, "rejected", version=900_000, cause={"code": code, "message": "m", "path": "version"})
    verdict = judge(SENT, at)
    assert (verdict.state, verdict.isolated) == ("failed", True)
    assert "check this gateway" in verdict.why
    assert not judge(SENT, answered(SENT, "rejected", cause={"code": "schema", "message": "m", "path": ""})).isolated


def test_a_message_that_no_gateway_would_read_is_not_sent() -> None:
    """Its document is short enough, but not once it is wrapped in an envelope."""
    sensors = [{"id": f"s-{number}", "driver": "system", "label": "x" * 200} for number in range(220)]
    wanted = RolloutTarget("batua-01", {"sensor": sensors}, 300.0, 30 * DAY_MS)
    with pytest.raises(RejectedError) as caught:
        new_message(wanted, gateway(), 1, sign, NOW_MS)
    assert caught.value.code == "too_large"
