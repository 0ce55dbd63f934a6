"""Ed25519 signatures, verified in a short-lived process: the agent never holds the library in its memory."""

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

_LONGEST_REST_S = 10.0
PROGRAM = helper_process.script_command(Path(ed25519_check.__file__))

Verify = Callable[[Sequence[SignatureCheck]], Awaitable[Sequence[bool]]]


class Verifier:
    """:func:`verified`, one process at a time, and with a rest after each that is four times as long as it took: what a
    stranger sends takes a fifth of the processor at most. To be given to :func:`answered`."""

    def __init__(self, verify: Verify | None = None) -> None:
        self._verify = verify or verified
        self._one = asyncio.Lock()
        self._rested_s = 0.0

    async def __call__(self, asked: Sequence[SignatureCheck]) -> Sequence[bool]:
        """One answer for each. Raises as :func:`verified`."""
        now_s = asyncio.get_running_loop().time
        async with self._one:
            await asyncio.sleep(max(0.0, self._rested_s - now_s()))
            began_s = now_s()
            try:
                return await self._verify(asked)
            finally:
                self._rested_s = now_s() + min(_LONGEST_REST_S, 4 * (now_s() - began_s))


async def answered(decision: VerificationSteps[T], verify: Verify | None = None) -> T:
    """Run a decision to its end, its signatures verified. Raises what it raises, and as :func:`verified`.

    No process is started for a decision that asks nothing.
    """
    verify = verify or verified
    try:
        asked = next(decision)
        while True:
            asked = decision.send(await verify(asked))
    except StopIteration as end:
        result: T = end.value
        return result


async def verified(
    asked: Sequence[SignatureCheck], program: Sequence[str] = PROGRAM, time_limit_s: float = helper_process.TIME_LIMIT_S
) -> Sequence[bool]:
    """One answer for each. Raises :class:`RejectedError`: ``library_missing``, ``verifier_failed``."""
    try:
        answers = await helper_process.query(program, _question(asked), time_limit_s)
    except helper_process.HelperFailed as error:
        if error.status == ed25519_check.LIBRARY_MISSING:
            text = _("signatures need the extra updates: pip install 'gardu[updates]'")
            raise RejectedError(LIBRARY_MISSING, text) from error
        raise _failed(str(error)) from error
    if not isinstance(answers, list) or len(answers) != len(asked) or not all(isinstance(one, bool) for one in answers):
        raise _failed(_("no answer"))
    return answers


def _question(asked: Sequence[SignatureCheck]) -> Mapping[str, Any]:
    # A message is signed several times and may be long: it is sent once.
    messages = {message: at for at, message in enumerate(dict.fromkeys(check.message for check in asked))}
    checks = [[check.key.hex(), messages[check.message], check.signature.hex()] for check in asked]
    encoded = [base64.b64encode(message).decode() for message in messages]
    return {"messages": encoded, "checks": checks}


def _failed(why: str) -> RejectedError:
    return RejectedError(VERIFIER_FAILED, _("could not verify the signatures: {why}").format(why=why))
