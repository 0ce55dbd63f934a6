"""A message becomes a command, or is dropped where no reply is possible."""

import base64
import json

import pytest

from agent.commands.command import Command, parse_command
from agent.commands.command_type import MAX_BYTES
from agent.commands.registry import max_bytes

UNUSABLE = [
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
]


def test_a_command_consists_of_its_id_its_expiry_and_its_arguments() -> None:
    assert parse_command("read", b'{"id":"a1","exp":5,"sensor":"air-1"}') == Command(
        "a1", "read", 5, {"sensor": "air-1"}
    )


@pytest.mark.parametrize("payload", UNUSABLE)
def test_a_message_without_a_usable_id_is_dropped(payload: bytes) -> None:
    assert parse_command("ping", payload) is None


@pytest.mark.parametrize("expires", ["true", '"5"', "1.5", "null"])
def test_an_expiry_that_is_not_an_integer_counts_as_missing(expires: str) -> None:
    command = parse_command("ping", b'{"id":"a1","exp":' + expires.encode() + b"}")
    assert command is not None
    assert command.expires_ms == 0


@pytest.mark.parametrize("fault", [b'"x":1,"x":2', b'"x":NaN', b'"x":1e999', b'"x":"\\ud800"'])
def test_a_message_that_is_not_strict_json_keeps_only_its_id(fault: bytes) -> None:
    command = parse_command("ping", b'{"id":"a1","exp":5,' + fault + b"}")
    assert command is not None
    assert command.fault
    assert (command.id, command.expires_ms, command.arguments) == ("a1", 0, {})


def test_a_signed_command_keeps_its_envelope() -> None:
    inner = b'{"id":"a1","exp":5,"command":"ping","gateway":"batua-01"}'
    envelope = json.dumps({"payloadType": "t", "payload": base64.b64encode(inner).decode(), "signatures": []}).encode()
    command = parse_command("ping", envelope)
    assert command is not None
    assert (command.id, command.envelope) == ("a1", envelope)
    assert command.is_addressed_to("batua-01")
    assert not command.is_addressed_to("batua-02")
    other = parse_command("flush", envelope)
    assert other is not None
    assert not other.is_addressed_to("batua-01")


@pytest.mark.parametrize("inner", ["7", '"!!!"', '""', "null", '"W10="'])
def test_an_envelope_without_a_command_is_dropped(inner: str) -> None:
    assert parse_command("ping", b'{"id":"a1","payloadType":"t","payload":' + inner.encode() + b"}") is None


def test_a_plan_may_be_twice_as_long() -> None:
    payload = json.dumps({"id": "a1", "exp": 5, "envelope": "x" * 70_000}).encode()
    assert parse_command("ping", payload) is None
    assert parse_command("plan", payload) is not None
    assert parse_command("plan", payload.ljust(2 * MAX_BYTES + 1)) is None
    assert (max_bytes("plan"), max_bytes("ping"), max_bytes("unknown")) == (131_072, 65_536, 65_536)
