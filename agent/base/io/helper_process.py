"""A question to a short-lived program: whatever its libraries need of memory, the agent gets back."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import agent
from agent.base.i18n import _

TIME_LIMIT_S = 30.0
_RUN_MODULE = """
import sys
from importlib import import_module
sys.path.insert(0, sys.argv[1])
sys.exit(import_module(sys.argv[2]).main())
"""


class ChildFailed(Exception):
    """There is no answer. ``status``: the exit status, ``None`` where it did not end by itself."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def program(file: Path) -> Sequence[str]:
    """The words that run a module of this package by its path: it imports nothing of the agent."""
    return (sys.executable, "-P", str(file))


def module(name: str) -> Sequence[str]:
    """The words that run ``main()`` of a module of this package: it may import others, and takes them from where the
    agent was taken. What it does not import costs it nothing."""
    return (sys.executable, "-P", "-c", _RUN_MODULE, str(Path(agent.__file__).parent.parent), name)


async def ask(words: Sequence[str], question: Mapping[str, Any], time_limit_s: float = TIME_LIMIT_S) -> Any:
    """Give the question as JSON, and get the answer. Raises :class:`ChildFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise ChildFailed(str(error)) from error
    try:
        output, _unused = await asyncio.wait_for(process.communicate(json.dumps(question).encode()), time_limit_s)
    except TimeoutError as error:
        raise ChildFailed(_("no answer within {n:.0f} s").format(n=time_limit_s)) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise ChildFailed(_("exit status {status}").format(status=process.returncode), process.returncode)
    try:
        return json.loads(output)
    except ValueError as error:
        raise ChildFailed(_("no answer")) from error
