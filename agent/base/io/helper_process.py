"""Runs a request in a short-lived process, so that the memory its libraries need is freed afterwards."""

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


class HelperFailed(Exception):
    """The helper process returned no answer. ``status``: its exit status; ``None`` if it did not exit by itself."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def script_command(file: Path) -> Sequence[str]:
    """Return the command line that runs a module of this package by its path. Such a module imports nothing from the
    agent."""
    return (sys.executable, "-P", str(file))


def module_command(name: str) -> Sequence[str]:
    """Return the command line that runs ``main()`` of a module of this package. It imports other modules from the same
    location as the agent, and pays only for what it imports."""
    return (sys.executable, "-P", "-c", _RUN_MODULE, str(Path(agent.__file__).parent.parent), name)


async def query(command: Sequence[str], request: Mapping[str, Any], time_limit_s: float = TIME_LIMIT_S) -> Any:
    """Send the request as JSON and return the decoded answer. Raises :class:`HelperFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise HelperFailed(str(error)) from error
    try:
        output, _unused = await asyncio.wait_for(process.communicate(json.dumps(request).encode()), time_limit_s)
    except TimeoutError as error:
        raise HelperFailed(_("no answer within {n:.0f} s").format(n=time_limit_s)) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise HelperFailed(_("exit status {status}").format(status=process.returncode), process.returncode)
    try:
        return json.loads(output)
    except ValueError as error:
        raise HelperFailed(_("no answer")) from error
