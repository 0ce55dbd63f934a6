"""After a power cut, each file of the state directory is the old one or the new one: never half, never gone.

The session number, the secret, the count of starts, the configuration with its generations and its trusted root, and
the certificates. The store's files: test_store_cuts.py.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.base.io.atomic_files import AtomicDirectory
from agent.base.io.state_dir import PRIVACY_KEY, StateDir
from agent.sensing.privacy import KEY_BYTES
from agent.update.io.update_dir import UpdateDir
from tests.agent.update.io.test_update_dir import ROOT, STATES, STEPS
from tests.crashes import journal
from tests.crashes.cuts import Cut, Recording, check_all, cuts, fast_folder
from tests.crashes.filesystem import read_image

_TRUST = [name for name, _ in STEPS].index("trust")


@dataclass
class StateAccount:
    """What is durable, and what may be: texts of ``starts``, steps of the update done and begun, certificates."""

    secret: bytes = b""
    generation: int = 0
    starts: set[str] = field(default_factory=lambda: {""})
    done: int = -1
    begun: int = -1
    requested: str = ""
    certificate: str = ""
    trial: str = ""

    def apply(self, kind: str, *values: Any) -> None:
        match kind, values:
            case "secret", [secret]:
                self.secret = secret
            case "generation", [number]:
                self.generation = number
            case "writing", [text]:
                self.starts.add(text)
            case "written", [text]:
                self.starts = {text}
            case "step", [at]:
                self.begun = at
            case "stepped", [at]:
                self.done = at
            case "requested", [key]:
                self.requested = key
            case "staging", [certificate]:
                self.certificate = certificate
            case "staged", [trial]:
                self.trial = trial


def faults(cut: Cut[StateAccount], folder: Path) -> list[str]:
    """What is wrong with the state directory."""
    account, state = cut.account, folder / "state"
    state_dir = StateDir(state)
    try:
        found = [*_wrong_files(account, state_dir), *_wrong_update(account, state), *_wrong_certificate(account, state)]
    finally:
        state_dir.close()
    return found


def _wrong_files(account: StateAccount, state_dir: StateDir) -> list[str]:
    found = []
    if account.secret and state_dir.secret(PRIVACY_KEY, KEY_BYTES) != account.secret:
        found.append("secret: another one")
    if state_dir.read("starts") not in account.starts:
        found.append(f"starts: {state_dir.read('starts')[:40]!r}")
    number = state_dir.next_generation()
    if number <= account.generation:
        found.append(f"generation: {number} after {account.generation}")
    return found


def _wrong_update(account: StateAccount, state: Path) -> list[str]:
    update = UpdateDir(AtomicDirectory(state / "config"))
    found = []
    if update.lost or update.trust_lost:
        found.append("update: lost")
    if update.state not in (STATES[account.done + 1], STATES[account.begun + 1]) and account.begun != _TRUST:
        found.append(f"update: {update.state} after step {account.done}")
    for name, generation in ((update.state.good, update.good()), (update.state.candidate, update.candidate())):
        if (generation.name if generation else "") != name:
            found.append(f"update: the configuration {name} is missing")
    if update.state.mark.version < STATES[account.done + 1].mark.version:
        found.append("update: an older version would be accepted")
    if (update.trust != ROOT) if account.done >= _TRUST else (update.trust not in (None, ROOT)):
        found.append("trust: not the root")
    return found


def _wrong_certificate(account: StateAccount, state: Path) -> list[str]:
    files = {path.name: path.read_text() for path in (state / "certificates").glob("*.pem")}
    pairs = [text for text in files.values() if account.certificate and account.certificate.strip() in text]
    found = [f"certificate: half of {name}" for name, text in files.items() if text not in pairs]
    if account.trial and not pairs:
        found.append("certificate: lost")
    key = state / "certificates" / "request.key"
    if account.requested and not account.certificate and key.read_text() != account.requested:
        found.append("certificate: the key of the request is lost")
    return found


@pytest.fixture(scope="module")
def recording(library: Path) -> Recording[StateAccount]:
    with fast_folder() as folder:
        root, log = folder / "root", folder / "journal"
        root.mkdir()
        journal.run(library, "tests.crashes.state_workload", [str(root), str(log)])
        return Recording(journal.read(log, {}), {}, StateAccount(), read_image(root))


def test_every_file_is_the_old_one_or_the_new_one(recording: Recording[StateAccount]) -> None:
    account = recording.final_account()
    assert (account.done, account.generation, bool(account.trial)) == (len(STEPS) - 1, 4, True)
    tally = check_all(cuts(recording, 0), faults)
    assert tally.examples == {}
    assert tally.states > 300


@pytest.mark.long
def test_every_file_is_the_old_one_or_the_new_one_many_times(recording: Recording[StateAccount]) -> None:
    tally = check_all(cuts(recording, 1, draws=20), faults)
    assert tally.examples == {}
    assert tally.states > 1000


def test_a_disk_that_lies_is_noticed(recording: Recording[StateAccount]) -> None:
    tally = check_all(cuts(recording, 0, lies=True), faults)
    assert {"secret", "starts", "generation", "update", "certificate"} <= set(tally.kinds), tally.examples
