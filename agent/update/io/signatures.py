"""Verifies Ed25519 signatures in a short-lived process, so that the agent never loads the library."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.base.errors import LIBRARY_MISSING, VERIFIER_FAILED, RejectedError
from agent.base.i18n import _
from agent.base.io import helper_process
from agent.update.io import ed25519_check
from agent.update.signed.dsse import SignatureCheck, VerificationSteps

T = TypeVar("T")

_MAX_PAUSE_S = 10.0
PROGRAM = helper_process.script_command(Path(ed25519_check.__file__))

Verify = Callable[[Sequence[SignatureCheck]], Awaitable[Sequence[bool]]]


class Verifier:
    """Calls :func:`verify_signatures` in one process at a time, and after each pauses four times as long as it ran, so
    that messages from strangers use at most a fifth of the processor. Pass it to :func:`run_verification`."""

    def __init__(self, verify: Verify | None = None) -> None:
        self._verify = verify or verify_signatures
        self._lock = asyncio.Lock()
        self._paused_until_s = 0.0

    async def __call__(self, checks: Sequence[SignatureCheck]) -> Sequence[bool]:
        """Return one answer per check. Raises as :func:`verify_signatures`."""
        now_s = asyncio.get_running_loop().time
        async with self._lock:
            await asyncio.sleep(max(0.0, self._paused_until_s - now_s()))
            began_s = now_s()
            try:
                return await self._verify(checks)
            finally:
                self._paused_until_s = now_s() + min(_MAX_PAUSE_S, 4 * (now_s() - began_s))


async def run_verification(decision: VerificationSteps[T], verify: Verify | None = None) -> T:
    """Run a decision to its end, verifying the signatures that it asks for. Raises what the decision raises, and as
    :func:`verify_signatures`. A decision without checks starts no process."""
    verify = verify or verify_signatures
    try:
        checks = next(decision)
        while True:
            checks = decision.send(await verify(checks))
    except StopIteration as end:
        result: T = end.value
        return result


async def verify_signatures(
    checks: Sequence[SignatureCheck],
    program: Sequence[str] = PROGRAM,
    time_limit_s: float = helper_process.TIME_LIMIT_S,
) -> Sequence[bool]:
    """Return one answer per check. Raises :class:`RejectedError`: ``library_missing``, ``verifier_failed``."""
    try:
        answers = await helper_process.query(program, _batch(checks), time_limit_s)
    except helper_process.HelperFailed as error:
        if error.status == ed25519_check.LIBRARY_MISSING:
            text = _("signatures need the extra updates: pip install 'gardu[updates]'")
            raise RejectedError(LIBRARY_MISSING, text) from error
        raise _failed(str(error)) from error
    if not isinstance(answers, list) or len(answers) != len(checks):
        raise _failed(_("no answer"))
    if not all(isinstance(answer, bool) for answer in answers):
        raise _failed(_("no answer"))
    return answers


def _batch(checks: Sequence[SignatureCheck]) -> Mapping[str, Any]:
    # A message may be long and have several signatures: send it only once.
    messages = {message: at for at, message in enumerate(dict.fromkeys(check.message for check in checks))}
    rows = [[check.key.hex(), messages[check.message], check.signature.hex()] for check in checks]
    encoded = [base64.b64encode(message).decode() for message in messages]
    return {"messages": encoded, "checks": rows}


def _failed(why: str) -> RejectedError:
    return RejectedError(VERIFIER_FAILED, _("could not verify the signatures: {why}").format(why=why))
