"""Refusals: one line, whatever a stranger wrote."""

import json

import pytest

from agent.base.errors import LIBRARY_MISSING, VERIFIER_FAILED, RejectedError
from agent.base.strict_json import loads


def test_a_refusal_shows_where_and_what() -> None:
    assert str(RejectedError("target", "not meant for you", "target.gateways")) == "target.gateways: not meant for you"
    assert str(RejectedError("unsigned", "not signed")) == "not signed"


def test_what_a_stranger_wrote_makes_no_second_line_and_no_colours() -> None:
    refused = RejectedError("malformed", "a\nb\x1b[31mc\x00", "x\r\ny" + "z" * 1000)
    assert refused.message == "a?b?[31mc?"
    assert refused.path == "x??y" + "z" * 196
    key = json.dumps("\n<3>forged line")
    with pytest.raises(RejectedError) as caught:
        loads(f"{{{key}: 1, {key}: 2}}".encode(), 1000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "transient"), [(LIBRARY_MISSING, True), (VERIFIER_FAILED, True), ("wrong_key", False), ("expired", False)]
)
def test_only_a_failure_of_the_gateway_itself_passes(code: str, transient: bool) -> None:
    assert RejectedError(code, "").transient == transient
