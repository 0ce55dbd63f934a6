"""Envelopes: the bytes that are signed, and whose signatures count."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.base.errors import RejectedError
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import (
    COMMAND_TYPE,
    Role,
    SignatureCheck,
    authenticate,
    key_id,
    parse,
    pre_authentication,
    require_signatures,
    signature_checks,
)
from tests.agent.update.signing_fakes import Verifier, envelope, key, signature

TWO_OF_THREE = Role((key("ayu"), key("budi"), key("citra")), 2)


def test_the_encoding_is_that_of_the_specification() -> None:
    """The example of DSSE's ``protocol.md``: type and body with their lengths in bytes."""
    encoded = pre_authentication("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@given(st.text(max_size=20), st.binary(max_size=40), st.text(max_size=20), st.binary(max_size=40))
def test_no_two_messages_have_the_same_encoding(one: str, body: bytes, other: str, other_body: bytes) -> None:
    same = (one, body) == (other, other_body)
    try:
        assert (pre_authentication(one, body) == pre_authentication(other, other_body)) == same
    except UnicodeEncodeError:
        assert any("\ud800" <= letter <= "\udfff" for letter in one + other)


@given(st.binary(max_size=200), st.lists(st.sampled_from(["ayu", "budi", "citra"]), unique=True))
def test_what_is_written_is_read_again(body: bytes, names: list[str]) -> None:
    message = pre_authentication(COMMAND_TYPE, body)
    entries = dsse.to_json(COMMAND_TYPE, body, {key(name): signature(name, message) for name in names})
    found = parse(dsse.encode(entries))
    assert (found.payload_type, found.payload, found.signed) == (COMMAND_TYPE, body, message)
    assert found.signatures == tuple(signature(name, message) for name in names)


def test_a_second_signature_keeps_the_first_and_the_same_one_is_not_added_twice() -> None:
    first = envelope(b"{}", ["ayu"])
    message = parse(json.dumps(first).encode()).signed
    both = dsse.countersign(first, {key("budi"): signature("budi", message), key("ayu"): signature("ayu", message)})
    found = dsse.from_json(both)
    assert sorted(found.signatures) == sorted(signature(name, message) for name in ("ayu", "budi"))
    assert both["payload"] == first["payload"]


def test_a_key_has_a_short_name() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"  # the first 8 bytes of SHA-256 over 32 zeros


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("ayu budi", ""),
        ("citra budi ayu", ""),
        ("", "unsigned"),
        ("mallory", "wrong_key"),
        ("ayu", "threshold"),
        ("ayu mallory", "threshold"),
        ("ayu ayu", "same_key"),
        ("ayu ayu ayu mallory", "same_key"),
    ],
)
def test_different_keys_of_the_role_are_counted(names: str, code: str) -> None:
    found = dsse.from_json(envelope(b"{}", names.split()))
    asked = signature_checks(found, TWO_OF_THREE)
    refused = ""
    try:
        require_signatures(asked, Verifier().answers(asked), TWO_OF_THREE)
    except RejectedError as error:
        refused = error.code
    assert refused == code


def test_only_a_true_answer_counts() -> None:
    asked = [SignatureCheck(one, b"", b"") for one in TWO_OF_THREE.keys]
    with pytest.raises(RejectedError) as caught:
        require_signatures(asked, [1, "yes", None], TWO_OF_THREE)  # type: ignore[list-item]
    assert caught.value.code == "wrong_key"


def test_an_answer_for_a_key_of_nobody_does_not_count() -> None:
    asked = [SignatureCheck(key("mallory"), b"", b""), SignatureCheck(key("trudy"), b"", b"")]
    with pytest.raises(RejectedError) as caught:
        require_signatures(asked, [True, True], TWO_OF_THREE)
    assert caught.value.code == "wrong_key"


@pytest.mark.parametrize("answers", [[], [True] * 5, [True] * 7])
def test_answers_that_do_not_match_the_questions_are_a_fault(answers: list[bool]) -> None:
    found = dsse.from_json(envelope(b"{}", ["ayu", "budi"]))
    decision = authenticate(found, TWO_OF_THREE, dsse.CONFIG_TYPE)
    next(decision)
    with pytest.raises(ValueError, match="zip"):
        decision.send(answers)


def test_a_command_is_authenticated_as_a_configuration_is() -> None:
    body = json.dumps({"id": "1", "exp": 1}).encode()
    found = dsse.from_json(envelope(body, ["ayu", "budi"], COMMAND_TYPE))
    assert Verifier().run(authenticate(found, TWO_OF_THREE, COMMAND_TYPE)) == body
    with pytest.raises(RejectedError) as caught:
        Verifier().run(authenticate(found, TWO_OF_THREE, dsse.CONFIG_TYPE))
    assert caught.value.code == "type"


def test_at_most_256_signatures_are_verified_for_a_message() -> None:
    role = Role(tuple(key(str(number)) for number in range(16)), 16)
    found = dsse.from_json(envelope(b"{}", ["mallory"] * 16))
    assert len(signature_checks(found, role)) == 256


def test_base64_is_the_whole_text() -> None:
    whole = envelope(b"{}", ["ayu"])
    whole["payload"] = base64.b64encode(b"{}").decode() + "AAAA"
    with pytest.raises(RejectedError) as caught:
        dsse.from_json(whole)
    assert caught.value.path == "payload"
