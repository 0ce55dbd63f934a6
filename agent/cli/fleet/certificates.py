"""Asks gateways when their certificates expire, a few at a time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agent.base.display import one_line
from agent.base.i18n import _
from agent.cli.shared.broker_options import BrokerOptions
from agent.cli.shared.command_client import CommandClient
from agent.cli.shared.maintainer_files import CommandFailed
from agent.delivery.certificates.validity import days_left
from agent.delivery.policies.batch_rules import is_sequence_number

_MAX_CONCURRENT = 20
_REPLY_S = 15.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The expiry of a certificate in Unix milliseconds, and the whole days left until then."""

    not_after_ms: int
    days: int


async def ask_for_certificates(
    options: BrokerOptions, names: Sequence[str]
) -> tuple[dict[str, Certificate], list[str]]:
    """Return the certificates of gateways that reply, and a line for each that does not. Raises
    :class:`~agent.delivery.connection.ConnectionLost`."""
    found: dict[str, Certificate] = {}
    failures: list[str] = []
    limit = asyncio.Semaphore(_MAX_CONCURRENT)
    client = await CommandClient.open(options)

    async def ask(name: str) -> None:
        async with limit:
            try:
                reply = await client.request(name, "diagnostics", {}, (), _REPLY_S)
            except (TimeoutError, LookupError, CommandFailed) as error:
                failures.append(str(error.args[0]))
                return
        result = reply.get("result")
        certificate = result.get("certificate") if isinstance(result, dict) else None
        ends_ms = certificate.get("not_after") if isinstance(certificate, dict) else None
        if is_sequence_number(ends_ms):
            found[name] = Certificate(ends_ms, days_left(ends_ms, time.time_ns() // 1_000_000))
        elif reply.get("status") != "done":
            why = one_line(f"{reply.get('status')}: {reply.get('detail')}")
            failures.append(_("{name}: {why}").format(name=name, why=why))

    try:
        await asyncio.gather(*(ask(name) for name in names))
    finally:
        await client.close()
    return found, sorted(failures)
