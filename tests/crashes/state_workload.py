"""What the agent does to the other files of its state directory: a program that runs under the shim.

``python -m tests.crashes.state_workload DIRECTORY JOURNAL``. Each mark comes before or after a step, as its name says.
"""

import asyncio
import sys
from pathlib import Path

from agent.base.io.atomic_files import AtomicDirectory
from agent.base.io.state_dir import PRIVACY_KEY, StateDir
from agent.sensing.privacy import KEY_BYTES
from agent.update.io.update_dir import UpdateDir
from tests.agent.delivery.io.test_client_certificate import MOMENT, Post
from tests.agent.update.io.test_update_dir import STEPS
from tests.crashes.journal import Shim

_shim = Shim()


def main() -> None:
    """Record it."""
    folder, journal = map(Path, sys.argv[1:])
    post = Post(folder.parent)
    post.folder = folder / "state" / "certificates"
    post.restart()
    _shim.begin(folder, journal)
    state_dir = StateDir(folder / "state")
    _shim.mark("secret", state_dir.secret(PRIVACY_KEY, KEY_BYTES))
    for number in range(3):
        _count(state_dir)
        text = f"start {number}\n" * (100 * number + 1)
        _shim.mark("writing", text)
        state_dir.write("starts", text)
        _shim.mark("written", text)
    update = UpdateDir(AtomicDirectory(state_dir.path / "config"))
    for at, (_, step) in enumerate(STEPS):
        _shim.mark("step", at)
        step(update)
        _shim.mark("stepped", at)
    _count(state_dir)
    asyncio.run(_renew(post))
    state_dir.close()
    _shim.end()


def _count(state_dir: StateDir) -> None:
    _shim.mark("generation", state_dir.next_generation())


async def _renew(post: Post) -> None:
    await post.client.request(post.settings, "pos-1")
    key = post.folder / "request.key"
    _shim.mark("requested", key.read_text())
    issued = post.authority.issue_for(key, "pos-1")
    _shim.mark("staging", issued.read_text())
    await post.client.stage(post.settings, "pos-1", issued.read_text(), MOMENT)
    _shim.mark("staged", (post.folder / "trial.pem").read_text())
    await post.connect()
    _shim.mark("connected")


if __name__ == "__main__":
    main()
