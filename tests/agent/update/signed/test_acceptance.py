"""Messages of config/desired that are taken, and what a gateway needs no second look at."""

import json
from dataclasses import replace

import pytest

from agent.base.timekeeping.trusted_time import TrustedTime
from agent.update.signed.acceptance import Accepted, NoChange, fingerprint, parse_document
from agent.update.signed.version_mark import Mark
from tests.agent.update.signing_fakes import (
    DAY_MS,
    NOW_MS,
    Verifier,
    document,
    message,
    outcome,
    refused,
    standing,
)


def _accepted(raw: bytes, **changes: object) -> Accepted:
    result = outcome(raw, standing(**changes))
    assert isinstance(result, Accepted)
    return result


def test_a_good_message_gives_the_configuration_with_the_local_part_of_the_gateway() -> None:
    raw = message(document(confirm_s=60, min_agent="0.3"))
    accepted = _accepted(raw)
    config = accepted.resolved.settings
    assert config.broker.url == "mqtts://broker.example:8883"
    assert config.broker.password_file == "/etc/gardu/password"
    assert [sensor.id for sensor in config.sensor] == ["air-1"]
    assert set(accepted.resolved.drivers) == {"air-1"}
    assert (accepted.document.version, accepted.document.confirm_s) == (18, 60.0)
    payload = (accepted.resolved.generation.payload or "").encode()
    assert accepted.document.hash == fingerprint(payload)
    assert accepted.message == fingerprint(raw)
    assert parse_document(payload) == accepted.document == accepted.resolved.document
    assert (accepted.resolved.drift, accepted.unproven) == ((), False)


def test_a_trial_lasts_five_minutes_if_nothing_else_is_said() -> None:
    assert _accepted(message()).document.confirm_s == 300


@pytest.mark.parametrize(
    "signers", [("ayu", "budi"), ("citra", "ayu"), ("ayu", "budi", "citra"), ("mallory", "ayu", "citra")]
)
def test_enough_keys_in_any_order_are_enough(signers: tuple[str, ...]) -> None:
    assert _accepted(message(signers=signers)).document.version == 18


def test_the_key_id_is_only_a_hint() -> None:
    whole = json.loads(message())
    for entry, lie in zip(whole["signatures"], ("citra", 64 * "0"), strict=True):
        entry["keyid"] = lie
    assert _accepted(json.dumps(whole).encode()).document.version == 18
    for entry in whole["signatures"]:
        del entry["keyid"]
    assert _accepted(json.dumps(whole).encode()).document.version == 18


def test_what_an_envelope_has_beside_is_ignored() -> None:
    whole = json.loads(message()) | {"comment": "dsse allows this"}
    assert _accepted(json.dumps(whole).encode()).document.version == 18


def test_url_safe_base64_is_read_too() -> None:
    text = message(document(min_agent="0.1.0 ???>>>~~~")).decode()
    whole = json.loads(text)
    whole["payload"] = whole["payload"].replace("+", "-").replace("/", "_")
    whole["signatures"] = [{"sig": one["sig"].replace("+", "-").replace("/", "_")} for one in whole["signatures"]]
    assert json.dumps(whole) != text
    assert _accepted(json.dumps(whole).encode()).document.version == 18


def test_the_same_message_again_is_not_even_verified() -> None:
    raw, verifier = message(), Verifier()
    assert outcome(raw, standing(processed=frozenset({fingerprint(raw)})), verifier=verifier) == NoChange()
    assert verifier.batches == []


def test_what_runs_already_is_nothing_new_when_a_signature_was_added() -> None:
    first = _accepted(message())
    at = standing(mark=Mark(18, first.document.hash), running=first.document.hash, processed=frozenset({first.message}))
    assert outcome(message(signers=("ayu", "budi", "citra")), at) == NoChange()


def test_a_version_whose_mark_was_raised_and_that_never_ran_is_taken_again() -> None:
    first = _accepted(message())
    at = standing(mark=Mark(18, first.document.hash))
    assert outcome(message(), at) == first


def test_what_was_rolled_back_is_not_tried_again() -> None:
    first = _accepted(message())
    at = standing(mark=Mark(18, first.document.hash), bad=frozenset({first.document.hash}))
    assert refused(message(signers=("citra", "budi")), at) == ("known_bad", "version")


def test_old_content_under_a_higher_version_is_a_new_configuration() -> None:
    first = _accepted(message())
    at = standing(mark=Mark(19, "19" * 32), bad=frozenset({first.document.hash}))
    assert outcome(message(document(version=20)), at) != NoChange()


@pytest.mark.parametrize("version", [18, 17 + 1_000_000])
def test_the_highest_and_the_lowest_version(version: int) -> None:
    assert _accepted(message(document(version=version))).document.version == version


def test_a_document_for_several_gateways_is_for_each_of_them() -> None:
    raw = message(document(target={"gateways": ["kima-02", "batua-01"]}))
    assert _accepted(raw).document.gateways == ("kima-02", "batua-01")
    assert outcome(raw, standing(gateway="kima-02")) != NoChange()
    assert refused(raw, standing(gateway="kima-03")) == ("target", "target.gateways")


def test_the_technicians_file_is_laid_over_and_reported() -> None:
    overlay = {"sensor": [{"id": "air-1", "interval_s": 5}]}
    result = outcome(message(), overlay=overlay)
    assert isinstance(result, Accepted)
    config = result.resolved.settings
    assert config.sensor[0].interval_s == 5
    assert result.resolved.drift == ("sensor.air-1.interval_s",)


def test_an_unset_clock_leaves_the_expiry_to_be_asked_again() -> None:
    moment = TrustedTime(0, False, NOW_MS - 40 * DAY_MS)
    assert _accepted(message(), trusted_time=moment).unproven


@pytest.mark.parametrize("agent", ["0.4.0", "0.4", "0.4.1", "1.0.0", "0.10.0", "0.4.0rc1"])
def test_an_agent_that_is_new_enough(agent: str) -> None:
    assert _accepted(message(document(min_agent="0.4.0")), agent=agent).document.min_agent == "0.4.0"


def test_nothing_is_verified_for_what_is_no_envelope() -> None:
    verifier = Verifier()
    with pytest.raises(Exception, match="JSON"):
        outcome(b"{", verifier=verifier)
    assert verifier.batches == []


def test_an_expired_root_signs_nothing_but_the_next_root() -> None:
    trust = standing().trust
    assert trust is not None
    old = replace(trust, expires_ms=NOW_MS - 1)
    assert refused(message(), standing(trust=old)) == ("expired", "trust.expires")
