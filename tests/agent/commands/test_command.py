"""A command is read and judged before anything is done."""

import json

import pytest

from agent.commands.command import PLAN_BYTES, Command, envelope, judge, level, number, read, text

NOW_MS = 1_795_000_000_000
LATER_MS = NOW_MS + 1000


def asked(name: str = "ping", exp: int = LATER_MS) -> Command:
    return Command("a1", name, exp, {})


def test_a_command_is_its_id_its_time_and_its_arguments() -> None:
    assert read("read", b'{"id":"a1","exp":5,"sensor":"air-1"}') == Command("a1", "read", 5, {"sensor": "air-1"})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"exp":5}',
        b'{"id":7,"exp":5}',
        b'{"id":"","exp":5}',
        b'{"id":"../state","exp":5}',
        b'{"id":"a/b","exp":5}',
        b'{"id":"+","exp":5}',
        b'{"id":"a#","exp":5}',
        b"[" * 60_000,
        json.dumps({"id": "x" * 65}).encode(),
        b'{"id":"a1","pad":"' + b"x" * 70_000 + b'"}',
    ],
)
def test_what_cannot_be_answered_is_dropped(payload: bytes) -> None:
    assert read("ping", payload) is None


@pytest.mark.parametrize("exp", ["true", '"5"', "1.5", "null"])
def test_a_time_that_is_none_counts_as_missing(exp: str) -> None:
    one = read("ping", b'{"id":"a1","exp":' + exp.encode() + b"}")
    assert one is not None
    refusal = judge(one, NOW_MS, True, (), signed=False)
    assert refusal is not None
    assert (refusal.status, refusal.detail) == ("rejected", "exp is missing")


def test_a_command_whose_time_is_over_is_expired_unless_the_clock_knows_nothing() -> None:
    late = asked(exp=NOW_MS)
    refusal = judge(late, NOW_MS, True, (), signed=False)
    assert refusal is not None
    assert refusal.status == "expired"
    assert judge(late, NOW_MS, False, (), signed=False) is None
    assert judge(asked(), NOW_MS, True, (), signed=False) is None


@pytest.mark.parametrize("name", ["restart", "output", "flush"])
def test_what_has_an_effect_on_the_site_must_be_allowed_signed_and_in_time(name: str) -> None:
    def refused(allowed: tuple[str, ...], signed: bool, clock: bool) -> str:
        refusal = judge(asked(name), NOW_MS, clock, allowed, signed=signed)
        return "" if refusal is None else refusal.detail

    assert refused((), True, True) == "this gateway does not allow it"
    assert refused((name,), False, True) == "it must be signed"
    assert refused((name,), True, False) == "the clock of the gateway is not set"
    assert refused((name,), True, True) == ""


def test_an_unknown_command_is_rejected() -> None:
    refusal = judge(asked("dance"), NOW_MS, True, ("dance",), signed=True)
    assert refusal is not None
    assert refusal.detail == "there is no such command"


def test_arguments_are_checked() -> None:
    one = Command("a1", "resend", 1, {"stream": "telemetry/a", "from": 3, "to": True, "ep": 5, "n": -1})
    assert (text(one, "stream"), number(one, "from")) == ("telemetry/a", 3)
    for key in ("to", "n", "absent"):
        with pytest.raises(ValueError, match=f"{key} is missing or no whole number"):
            number(one, key)
    for key in ("ep", "absent"):
        with pytest.raises(ValueError, match=f"{key} is missing or no text"):
            text(one, key)


def test_a_plan_may_be_as_long_as_an_envelope_needs() -> None:
    payload = json.dumps({"id": "a1", "exp": 5, "envelope": "x" * 70_000}).encode()
    assert read("ping", payload) is None
    assert read("plan", payload) is not None
    assert read("plan", payload.ljust(PLAN_BYTES + 1)) is None


@pytest.mark.parametrize(("value", "on"), [(0, False), (1, True), (False, False), (True, True)])
def test_a_line_stands_at_0_or_1(value: object, on: bool) -> None:
    assert level(Command("a1", "output", 1, {"value": value}), "value") is on


@pytest.mark.parametrize("value", [2, -1, 0.5, 1.0, "1", None, [1], {}])
def test_any_other_level_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="value must be 0 or 1"):
        level(Command("a1", "output", 1, {"value": value}), "value")


def test_an_envelope_comes_as_its_text_or_as_json() -> None:
    assert envelope(Command("a1", "plan", 1, {"envelope": '{"a": 1}'}), "envelope") == b'{"a": 1}'
    assert json.loads(envelope(Command("a1", "plan", 1, {"envelope": {"a": 1}}), "envelope")) == {"a": 1}
    for value in (None, "", 7, [1]):
        with pytest.raises(ValueError, match="envelope is missing or no envelope"):
            envelope(Command("a1", "plan", 1, {"envelope": value}), "envelope")
