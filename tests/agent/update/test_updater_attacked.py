"""An attacker who owns the broker and all keys but the threshold, against one gateway, for as long as it likes.

Whatever it sends, in whatever order, with power cuts and clocks between: no configuration ever runs that enough
maintainers did not sign for this gateway, and the version never goes down. What decides is the agent's own
:class:`~agent.update.updater.Updater`; its files, its runtime and its signatures are stand-ins.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from agent.base.timekeeping.trusted_time import rfc_3339
from agent.config.document import fingerprint
from agent.config.io.local_files import LocalFiles
from agent.config.resolve import ResolvedConfig
from agent.delivery.connection import Message
from agent.update.io.update_store import UpdateStore
from agent.update.parts import UpdateParts
from agent.update.signed.dsse import COMMAND_TYPE, CONFIG_TYPE, TRUST_TYPE, SignatureCheck
from agent.update.updater import Updater
from tests.agent.config.config_fakes import FakeCatalog
from tests.agent.update.io.update_disk import Disk
from tests.agent.update.signing_fakes import CONFIG, DAY_MS, GATEWAY, NOW_MS, Verifier, chain, document, envelope, root
from tests.agent.update.update_gateway import TIMINGS, FakeClock, FakeJournal, FakeRuntime

T = TypeVar("T")

FILE = f"""[gateway]
id = "{GATEWAY}"
site = "batua"
sector = "health"
[broker]
url = "mqtts://old.example"
[publish]
max_rows = 999
"""
OWN = 999
FORGED = 666
STOLEN = ["ayu", "eka", "mallory", "trudy"]
"""One maintainer's key, the one of commands, and keys of its own. The threshold of all other roles is two."""
TARGETS = [[GATEWAY], [GATEWAY], ["kima-02"], ["*"], ["kima-02", GATEWAY], []]
VERSIONS = st.integers(1, 40) | st.sampled_from([10**6, 10**6 + 30, 2**53, 2**63 - 1])
KINDS = [CONFIG_TYPE, CONFIG_TYPE, CONFIG_TYPE, COMMAND_TYPE, TRUST_TYPE, ""]


class Runtime(FakeRuntime):
    """Notes the numbers of what ran. ``applicable``: whether the next change can be made."""

    def __init__(self) -> None:
        super().__init__(acknowledged=False)
        self.ran: list[int] = []
        self.applicable = True

    async def change(self, resolved: ResolvedConfig) -> None:
        self.ran.append(resolved.settings.publish.max_rows)
        if not self.applicable:
            self.applicable = True
            raise RuntimeError("not applicable")
        await super().change(resolved)


async def _verify(asked: Sequence[SignatureCheck]) -> Sequence[bool]:
    return Verifier().answers(asked)


class Attack(RuleBasedStateMachine):
    """``seen``: every envelope that the attacker has ever seen or made; it may send any of them, changed or not."""

    seen: Bundle[dict[str, Any]] = Bundle("seen")
    chains: Bundle[bytes] = Bundle("chains")

    @initialize()
    def install(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "gardu.toml").write_text(FILE)
        self.files = Disk()
        self.roots = [(root(), "ayu budi")]
        (self.folder / "trust.json").write_bytes(chain(*self.roots))
        self.clock = FakeClock()
        self.clock.set(NOW_MS)
        self.journal = FakeJournal()
        self.signed: dict[str, tuple[int, int]] = {}
        """What enough maintainers signed for this gateway: hash -> version and number."""
        self.highest = self.floored = self.numbers = 0
        self._start()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self._end()
            self.loop.close()
            shutil.rmtree(self.folder)

    # What the maintainers do.

    @rule(target=seen, version=st.integers(1, 40), send=st.booleans())
    def sign(self, version: int, send: bool) -> dict[str, Any]:
        self.numbers += 1
        body = self._document(version, [GATEWAY], self.numbers, NOW_MS + 30 * DAY_MS)
        self.signed[fingerprint(body)] = (version, self.numbers)
        whole = envelope(body, ["budi", "citra"])
        if send:
            self.send(whole)
        return whole

    @rule(target=seen, version=st.integers(1, 40), kind=st.sampled_from([CONFIG_TYPE, COMMAND_TYPE]))
    def sign_for_another_gateway_or_as_something_else(self, version: int, kind: str) -> dict[str, Any]:
        target = ["kima-02"] if kind == CONFIG_TYPE else [GATEWAY]
        return envelope(self._document(version, target, 700, NOW_MS + 30 * DAY_MS), ["budi", "citra"], kind)

    @rule(target=seen, version=st.integers(1, 40))
    def sign_with_one_key_alone(self, version: int) -> dict[str, Any]:
        return envelope(self._document(version, [GATEWAY], 701, NOW_MS + 30 * DAY_MS), ["citra"])

    @rule(target=chains, floor=st.none() | st.integers(0, 40))
    def rotate(self, floor: int | None) -> bytes:
        names = "ayu budi citra" if len(self.roots) % 2 else "ayu budi citra dewi"
        self.roots.append((root(len(self.roots) + 1, root=(names, 2), floor=floor), "budi citra"))
        raw = chain(*self.roots)
        self.send_a_chain(raw)
        return raw

    # What the attacker does.

    @rule(
        target=seen,
        version=VERSIONS,
        gateways=st.sampled_from(TARGETS),
        signers=st.lists(st.sampled_from(STOLEN), max_size=4),
        kind=st.sampled_from(KINDS),
    )
    def forge(self, version: int, gateways: list[str], signers: list[str], kind: str) -> dict[str, Any]:
        forged = envelope(self._document(version, gateways, FORGED, NOW_MS + 900 * DAY_MS), signers, kind)
        self.send(forged)
        return forged

    @rule(target=seen, one=seen, other=seen, kind=st.sampled_from([None, *KINDS]), twice=st.booleans())
    def mix(self, one: dict[str, Any], other: dict[str, Any], kind: str | None, twice: bool) -> dict[str, Any]:
        signatures = (one["signatures"] + other["signatures"]) * (2 if twice else 1)
        mixed = {**one, "payloadType": one["payloadType"] if kind is None else kind, "signatures": signatures[:16]}
        self.send(mixed)
        return mixed

    @rule(target=chains, ahead=st.integers(-1, 2), signers=st.lists(st.sampled_from(STOLEN), max_size=3))
    def forge_a_root(self, ahead: int, signers: list[str]) -> bytes:
        version = max(1, len(self.roots) + ahead)
        evil = root(version, root=("mallory", 1), config=("mallory", 1), floor=0)
        kept = [one for one in self.roots if one[0].version < version]
        raw = chain(*kept, (evil, " ".join(signers)), (root(version + 1, config=("trudy", 1)), "mallory"))
        self.send_a_chain(raw)
        return raw

    @rule(message=seen)
    def send(self, message: dict[str, Any]) -> None:
        self._hand_over("desired", json.dumps(message).encode())

    @rule(raw=chains)
    def send_a_chain(self, raw: bytes) -> None:
        self._hand_over("trust", raw)

    @rule(at=st.integers(0, 10_000), change=st.integers(0, 255), message=consumes(seen))
    def send_with_a_byte_changed(self, at: int, change: int, message: dict[str, Any]) -> None:
        raw = bytearray(json.dumps(message).encode())
        raw[at % len(raw)] = change
        self._hand_over("desired", bytes(raw))

    @rule(days=st.sampled_from([-300, -20, 0, 20, 300]), is_set=st.booleans())
    def serve_another_time(self, days: int, is_set: bool) -> None:
        self.clock.set(NOW_MS + days * DAY_MS, int(is_set))
        self._settle()

    # What happens to the gateway.

    @rule()
    def cut_the_power(self) -> None:
        self._end()
        self._start()

    @rule()
    def stop_and_start(self) -> None:
        self._end(well=True)
        self._start()

    @rule()
    def let_the_broker_acknowledge(self) -> None:
        self.runtime.acknowledged = True
        self._settle()
        assert not self.parts.store.state.under_way
        self.runtime.acknowledged = False

    @rule()
    def make_the_next_change_fail(self) -> None:
        self.runtime.applicable = False

    @rule()
    def edit(self) -> None:
        (self.folder / "local.toml").write_text(f"[publish]\nmax_delay_s = {1 + self.loop.time() % 50}\n")
        self.parts.inbox.reload()
        self._settle()

    # What must always be true.

    @invariant()
    def only_what_enough_maintainers_signed_for_this_gateway_runs(self) -> None:
        signed = {number for _, number in self.signed.values()}
        assert set(self.runtime.ran) <= signed | {OWN}
        running = self.updater.running
        if running.document is not None:
            version, number = self.signed[running.document.hash]
            assert (running.document.version, running.settings.publish.max_rows) == (version, number)
            assert version <= self.parts.store.state.mark.version or self.parts.store.state.mark.root

    @invariant()
    def only_maintainers_say_who_may_sign(self) -> None:
        assert self.parts.store.trust in [one for one, _ in self.roots]

    @invariant()
    def the_version_never_goes_down(self) -> None:
        mark = self.parts.store.state.mark
        if mark.root != self.floored:
            floors = {one.version: one.floor for one, _ in self.roots}
            assert mark.root > self.floored
            assert floors[mark.root] is not None
            self.highest, self.floored = floors[mark.root] or 0, mark.root
        assert mark.version >= self.highest
        self.highest = mark.version

    @invariant()
    def what_it_reports_is_what_runs(self) -> None:
        report, running = self.runtime.reports[-1], self.updater.running
        assert report["running"]["version"] == (running.document.version if running.document else 0)

    def _start(self) -> None:
        self.runtime = Runtime()
        store = UpdateStore(self.files, self.clock.seconds, TIMINGS.settle_s)
        files = LocalFiles(self.folder / "gardu.toml")
        self.parts = UpdateParts.of(store, files, FakeCatalog(), self.clock, TIMINGS, _verify)

        async def start() -> None:
            chosen = await self.parts.choose()
            await self.runtime.change(chosen.resolved)
            self.updater = Updater(self.parts, self.runtime, self.journal, chosen)
            await self.updater.begin()

        self._run(start())
        self._settle()

    def _end(self, well: bool = False) -> None:
        if well:
            self._run(self.updater.close())
        self.parts.store.close()

    def _hand_over(self, leaf: str, raw: bytes) -> None:
        self.parts.inbox.on_message(Message(f"makassar/v1/health/batua/{GATEWAY}/config/{leaf}", raw, True))
        self._settle()

    def _settle(self) -> None:
        """Let it do whatever it has to do."""
        wake = self.parts.inbox.wake
        wake.set()
        while wake.is_set():
            wake.clear()
            self._run(self.updater.step())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def _document(self, version: int, gateways: list[str], number: int, expires_ms: int) -> bytes:
        config = {**CONFIG, "publish": {"max_rows": number}}
        dates = {"issued": rfc_3339(NOW_MS - 30 * DAY_MS), "expires": rfc_3339(expires_ms)}
        return json.dumps(document(version=version, target={"gateways": gateways}, config=config, **dates)).encode()


Attack.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestAttack = Attack.TestCase
