"""An attacker who owns the broker and all keys but the threshold, against one gateway, for as long as it likes.

Whatever it sends, in whatever order, with power cuts and clocks between: no configuration ever runs that enough
maintainers did not sign for this gateway, and the version never goes down. What decides is the agent's own
:class:`~agent.updates.Updates`; its files, its site and its signatures are stand-ins.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from agent.core.config_document import fingerprint
from agent.core.config_resolve import ResolvedConfig
from agent.core.envelope import COMMAND_TYPE, CONFIG_TYPE, TRUST_TYPE, Check
from agent.core.events import Row
from agent.core.link import Message
from agent.core.moment import rfc_3339
from agent.core.reading import Stamp
from agent.edges.update_dir import UpdateDir
from agent.updates import Updates
from tests.agent.core.config_fakes import FakeCatalog
from tests.agent.core.signing_fakes import CONFIG, DAY_MS, GATEWAY, NOW_MS, Verifier, chain, document, envelope, root

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


class Files:
    """Files in memory, which outlive the process."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        return self.contents.get(name, b"")

    def write(self, name: str, content: bytes) -> None:
        self.contents[name] = content

    def remove(self, name: str) -> None:
        self.contents.pop(name, None)

    def names(self) -> list[str]:
        return list(self.contents)


@dataclass
class Health:
    lost: bool = False


@dataclass
class SensorTask:
    proven: bool = True
    health: Health = field(default_factory=Health)


@dataclass
class Sensor:
    sensor: SensorTask = field(default_factory=SensorTask)


@dataclass
class Uplink:
    telemetry_acknowledged: bool = False
    echoed: bool = True
    online: bool = False
    sessions: int = 0


class Site:
    """Notes what runs. ``applicable``: whether a change can be made at all."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.applicable = True
        self.uplink = Uplink()
        self.sensors: dict[str, Sensor] = {}
        self.reports: list[dict[str, Any]] = []

    async def change(self, resolved: ResolvedConfig) -> None:
        self.ran.append(resolved.settings.publish.max_rows)
        if not self.applicable:
            self.applicable = True
            raise RuntimeError("not applicable")
        self.sensors = {one.id: Sensor() for one in resolved.settings.sensor}

    def report_health(self) -> None:
        """A reading of its own is of no interest here."""

    def tell(self, report: Mapping[str, Any]) -> None:
        self.reports.append(dict(report))


class Observed(Updates):
    """Says when it has nothing to do."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.idle = asyncio.Event()
        self.trusted.verify = _verify

    async def _woken(self) -> None:
        self.idle.set()
        await super()._woken()
        self.idle.clear()

    @property
    def quiet(self) -> bool:
        return self.idle.is_set() and not self._inbox.wake.is_set()

    def leave(self) -> None:
        """What a process does not leave behind."""
        self._steps.close()


async def _verify(asked: Sequence[Check]) -> Sequence[bool]:
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
        self.files = Files()
        self.roots = [(root(), "ayu budi")]
        (self.folder / "trust.json").write_bytes(chain(*self.roots))
        self.stamp = Stamp(NOW_MS, 0, 1)
        self.texts: dict[str, str] = {}
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
        target=seen, version=VERSIONS, gateways=st.sampled_from(TARGETS),
        signers=st.lists(st.sampled_from(STOLEN), max_size=4), kind=st.sampled_from(KINDS),
    )  # fmt: skip
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
        self.stamp = Stamp(NOW_MS + days * DAY_MS, 0, int(is_set))
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
        self.site.uplink.telemetry_acknowledged = True
        self._settle()
        assert not self.updates._dir.state.under_way
        self.site.uplink.telemetry_acknowledged = False

    @rule()
    def make_the_next_change_fail(self) -> None:
        self.site.applicable = False

    @rule()
    def edit(self) -> None:
        (self.folder / "local.toml").write_text(f"[publish]\nmax_delay_s = {1 + self.loop.time() % 50}\n")
        self.updates.edited()
        self._settle()

    # What must always be true.

    @invariant()
    def only_what_enough_maintainers_signed_for_this_gateway_runs(self) -> None:
        signed = {number for _, number in self.signed.values()}
        assert set(self.site.ran) <= signed | {OWN}
        running = self.updates.running
        if running.document is not None:
            version, number = self.signed[running.document.hash]
            assert (running.document.version, running.settings.publish.max_rows) == (version, number)
            assert version <= self.updates._dir.state.mark.version or self.updates._dir.state.mark.root

    @invariant()
    def only_maintainers_say_who_may_sign(self) -> None:
        assert self.updates._dir.trust in [one for one, _ in self.roots]

    @invariant()
    def the_version_never_goes_down(self) -> None:
        mark = self.updates._dir.state.mark
        if mark.root != self.floored:
            floors = {one.version: one.floor for one, _ in self.roots}
            assert mark.root > self.floored
            assert floors[mark.root] is not None
            self.highest, self.floored = floors[mark.root] or 0, mark.root
        assert mark.version >= self.highest
        self.highest = mark.version

    @invariant()
    def what_it_reports_is_what_runs(self) -> None:
        report, running = self.site.reports[-1], self.updates.running
        assert report["running"]["version"] == (running.document.version if running.document else 0)

    @property
    def proven_ms(self) -> int:
        return 0

    def now(self) -> Stamp:
        return self.stamp

    def announce(self, row: Row) -> None:
        """Its events are none of the attacker's business."""

    def remember(self, name: str, value: str) -> None:
        self.texts[name] = value

    def recall(self, name: str) -> str:
        return self.texts.get(name, "")

    def _start(self) -> None:
        self.site = Site()
        self.updates = Observed(UpdateDir(self.files), self.folder / "gardu.toml", FakeCatalog(), self)

        async def start() -> None:
            await self.site.change(await self.updates.first())
            self.task = asyncio.create_task(self.updates.run(self.site, self))  # type: ignore[arg-type]

        self._run(start())
        self._settle()

    def _end(self, well: bool = False) -> None:
        async def end() -> None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            if well:
                await self.updates.close()

        self._run(end())
        self.updates.leave()

    def _hand_over(self, leaf: str, raw: bytes) -> None:
        self.updates.take(Message(f"makassar/v1/health/batua/{GATEWAY}/config/{leaf}", raw, True))
        self._settle()

    def _settle(self) -> None:
        """Let it do whatever it has to do."""

        async def settle() -> None:
            self.updates.idle.clear()
            self.updates._inbox.wake.set()
            while not self.updates.quiet and not self.task.done():  # noqa: ASYNC110 - nothing else goes on
                await asyncio.sleep(0)
            assert not self.task.done(), self.task.exception()

        self._run(settle())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def _document(self, version: int, gateways: list[str], number: int, expires_ms: int) -> bytes:
        config = {**CONFIG, "publish": {"max_rows": number}}
        dates = {"issued": rfc_3339(NOW_MS - 30 * DAY_MS), "expires": rfc_3339(expires_ms)}
        return json.dumps(document(version=version, target={"gateways": gateways}, config=config, **dates)).encode()


Attack.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAttack = Attack.TestCase
