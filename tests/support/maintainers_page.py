"""Command blocks of docs/maintainers.md that need a broker, run where there is one."""

import asyncio
import re
import sys
from pathlib import Path

from tests.support.agent_process import agent_environ

_LOGIN = re.compile(r"mqtts://broker\.example:8884.*?ca\.pem", re.DOTALL)


async def run_block(script: str, shown: str, folder: Path, broker: str) -> None:
    """Run a block in ``folder``; it must print what the page shows (``…`` stands for anything without a blank).

    ``broker``: what stands in the place of the page's broker and login.
    """
    here = f'gardu() {{ "{sys.executable}" -m agent "$@"; }}\n{_LOGIN.sub(broker, script)}'
    ran = await asyncio.create_subprocess_exec(
        "sh", "-ec", here, cwd=folder, env=agent_environ(), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(ran.communicate(), 60)
    pattern = re.escape(shown).replace("…", "[^ \n]*")
    assert (ran.returncode, bool(re.fullmatch(pattern, out.decode()))) == (0, True), out.decode()
