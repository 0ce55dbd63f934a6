"""An attacker who owns the broker and all keys but the threshold, against one gateway, for as long as it likes.

Whatever it sends, in whatever order, with power cuts and clocks between: no configuration ever runs that enough
maintainers did not sign for this gateway, and the version never goes down.
"""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from agent.core.desired import Accepted, Standing, fingerprint, read_document
from agent.core.envelope import COMMAND_TYPE, CONFIG_TYPE, TRUST_TYPE
from agent.core.moment import Moment, rfc_3339
from agent.core.refusal import Refused
from agent.core.trust import Followed, Root, follow, payload
from agent.core.update_state import Cause, Generation
from agent.edges.update_dir import UpdateDir
from tests.agent.core.signing_fakes import CONFIG, DAY_MS, GATEWAY, NOW_MS, Verifier, document, envelope, outcome, root

CAUSE = Cause("silent", "a sensor stays silent")
STOLEN = ["ayu", "eka", "mallory", "trudy"]
"""One maintainer's key, the one of commands, and keys of its own. The threshold of all other roles is two."""
TARGETS = [[GATEWAY], [GATEWAY], ["kima-02"], ["*"], ["kima-02", GATEWAY], []]
VERSIONS = st.integers(1, 40) | st.sampled_from([10**6, 10**6 + 30, 2**53, 2**63 - 1])
KINDS = [CONFIG_TYPE, CONFIG_TYPE, CONFIG_TYPE, COMMAND_TYPE, TRUST_TYPE, ""]


class Files:
    """Files in memory."""

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


class Attack(RuleBasedStateMachine):
    """``seen``: every envelope that the attacker has ever seen or made; it may send any of them, changed or not."""

    seen: Bundle[dict[str, Any]] = Bundle("seen")
    chains: Bundle[bytes] = Bundle("chains")

    @initialize()
    def install(self) -> None:
        self.files = Files()
        self.gateway = UpdateDir(self.files)
        self.gateway.adopt(Generation("file"))
        self.roots = [(root(), "ayu budi")]
        first = Followed(self.roots[0][0], payload(self.roots[0][0]))
        self.gateway.keep_trust(first, "origin")
        self.moment = Moment(NOW_MS, True, NOW_MS - 400 * DAY_MS)
        self.signed: dict[str, int] = {}
        """What enough maintainers signed for this gateway: hash -> version."""
        self.floored = 0
        """The root whose floor was taken last."""
        self.highest = 0

    # What the maintainers do.

    @rule(target=seen, version=st.integers(1, 40), number=st.integers(0, 9), send=st.booleans())
    def sign(self, version: int, number: int, send: bool) -> dict[str, Any]:
        body = self._document(version, [GATEWAY], number, NOW_MS + 30 * DAY_MS)
        self.signed[fingerprint(body)] = version
        whole = envelope(body, ["budi", "citra"])
        if send:
            self.send(whole)
        return whole

    @rule(target=seen, version=st.integers(1, 40), kind=st.sampled_from([CONFIG_TYPE, COMMAND_TYPE]))
    def sign_for_another_gateway_or_as_something_else(self, version: int, kind: str) -> dict[str, Any]:
        target = ["kima-02"] if kind == CONFIG_TYPE else [GATEWAY]
        body = self._document(version, target, 10 + KINDS.index(kind), NOW_MS + 30 * DAY_MS)
        return envelope(body, ["budi", "citra"], kind)

    @rule(target=seen, version=st.integers(1, 40))
    def sign_with_one_key_alone(self, version: int) -> dict[str, Any]:
        return envelope(self._document(version, [GATEWAY], 20, NOW_MS + 30 * DAY_MS), ["citra"])

    @rule(target=chains, floor=st.none() | st.integers(0, 40))
    def rotate(self, floor: int | None) -> bytes:
        names = "ayu budi citra" if len(self.roots) % 2 else "ayu budi citra dewi"
        self.roots.append((root(len(self.roots) + 1, root=(names, 2), floor=floor), "budi citra"))
        raw = self._chain(self.roots)
        self.send_a_chain(raw)
        return raw

    # What the attacker does.

    @rule(
        target=seen, version=VERSIONS, gateways=st.sampled_from(TARGETS),
        signers=st.lists(st.sampled_from(STOLEN), max_size=4), kind=st.sampled_from(KINDS),
    )  # fmt: skip
    def forge(self, version: int, gateways: list[str], signers: list[str], kind: str) -> dict[str, Any]:
        forged = envelope(self._document(version, gateways, 666, NOW_MS + 900 * DAY_MS), signers, kind)
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
        raw = self._chain([*kept, (evil, " ".join(signers)), (root(version + 1, config=("trudy", 1)), "mallory")])
        self.send_a_chain(raw)
        return raw

    @rule(message=seen)
    def send(self, message: dict[str, Any]) -> None:
        raw = json.dumps(message).encode()
        try:
            result = outcome(raw, self._standing())
        except Refused:
            return
        if isinstance(result, Accepted):
            found = result.document
            assert self.signed.get(found.hash) == found.version
            assert found.version > self.highest or found.hash == self.gateway.state.mark.hash
            mark = self.gateway.state.mark.raised(found.version, found.hash, found.issued_ms)
            self.gateway.stage(Generation("file", "", result.payload.decode()), found.hash, result.message, mark)

    @rule(raw=chains)
    def send_a_chain(self, raw: bytes) -> None:
        before = self.gateway.state.mark
        followed = Verifier().run(follow(raw, self._trust()))
        self.gateway.keep_trust(followed)
        after = self.gateway.state.mark
        if followed.floor is not None and after != before:
            assert followed.floor.version in {one.floor for one, _ in self.roots}
            assert followed.floor.root > self.floored
            self.highest, self.floored = followed.floor.version, followed.floor.root

    @rule(version=st.integers(1, 40), change=st.integers(0, 255), message=consumes(seen))
    def send_with_a_byte_changed(self, version: int, change: int, message: dict[str, Any]) -> None:
        raw = bytearray(json.dumps(message).encode())
        raw[(version * 7919) % len(raw)] = change
        try:
            self.send(json.loads(bytes(raw)))
        except (ValueError, TypeError):
            return

    @rule(days=st.sampled_from([-300, -20, 0, 20, 300]), is_set=st.booleans())
    def serve_another_time(self, days: int, is_set: bool) -> None:
        self.moment = Moment(NOW_MS + days * DAY_MS, is_set, NOW_MS - 400 * DAY_MS)

    @rule()
    def cut_the_power(self) -> None:
        self.gateway = UpdateDir(self.files)

    # What becomes of a candidate.

    @rule(good=st.booleans())
    def decide(self, good: bool) -> None:
        if not self.gateway.state.under_way:
            return
        self.gateway.applying()
        self.gateway.probation()
        candidate, before = self.gateway.candidate(), self.gateway.good()
        if good:
            self.gateway.confirm()
        else:
            self.gateway.roll_back(CAUSE)
        assert self.gateway.good() == (candidate if good else before)

    @invariant()
    def only_what_enough_maintainers_signed_for_this_gateway_runs(self) -> None:
        for generation in (self.gateway.good(), self.gateway.candidate()):
            assert generation is not None or not self.gateway.state.under_way
            if generation is not None and generation.payload is not None:
                found = read_document(generation.payload.encode())
                assert self.signed.get(found.hash) == found.version

    @invariant()
    def only_maintainers_say_who_may_sign(self) -> None:
        assert self._trust() in [one for one, _ in self.roots]

    @invariant()
    def the_version_never_goes_down(self) -> None:
        assert self.gateway.state.mark.version >= self.highest
        self.highest = self.gateway.state.mark.version

    def _standing(self) -> Standing:
        state = self.gateway.state
        generation = self.gateway.candidate() or self.gateway.good()
        running = fingerprint(generation.payload.encode()) if generation and generation.payload else ""
        return Standing(
            GATEWAY,
            "0.4.0",
            self._trust(),
            state.mark,
            self.moment,
            frozenset({state.processed}),
            running,
            frozenset(state.bad),
        )

    def _trust(self) -> Root:
        assert self.gateway.trust is not None
        return self.gateway.trust

    def _document(self, version: int, gateways: list[str], number: int, expires_ms: int) -> bytes:
        config = {**CONFIG, "publish": {"max_rows": number + 1}}
        dates = {"issued": rfc_3339(NOW_MS - 30 * DAY_MS), "expires": rfc_3339(expires_ms)}
        return json.dumps(document(version=version, target={"gateways": gateways}, config=config, **dates)).encode()

    def _chain(self, roots: list[tuple[Root, str]]) -> bytes:
        return json.dumps([envelope(payload(one), names.split(), TRUST_TYPE) for one, names in roots]).encode()


Attack.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAttack = Attack.TestCase
