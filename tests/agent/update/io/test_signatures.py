"""Real signatures, verified by the real child process."""

import asyncio
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.base.errors import RejectedError
from agent.fleet.io.signing_key import InvalidKey, SigningKey, create, load
from agent.update.io.signatures import Verifier, run_verification, verify_signatures
from agent.update.signed import dsse as dsse
from agent.update.signed.acceptance import Accepted, NoChange, examine, fingerprint
from agent.update.signed.dsse import CONFIG_TYPE, Role, SignatureCheck
from agent.update.signed.trust import Root
from tests.agent.config.config_fakes import FakeCatalog
from tests.agent.update.signing_fakes import document, local_files, root, standing

FILES = local_files()

# RFC 8032, section 7.1: the keys, messages and signatures of TEST 1 and TEST 2.
RFC_8032 = [
    SignatureCheck(
        bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        b"",
        bytes.fromhex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    SignatureCheck(
        bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
        b"\x72",
        bytes.fromhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group: RFC 8032, section 5.1


def _changed(check: SignatureCheck, **parts: bytes) -> SignatureCheck:
    return check._replace(**parts)


async def test_the_examples_of_the_standard_are_good() -> None:
    assert await verify_signatures(RFC_8032) == [True, True]


async def test_each_question_has_its_own_answer() -> None:
    one, two = RFC_8032
    signature = one.signature
    added = int.from_bytes(signature[32:], "little") + ORDER
    asked = [
        one,
        _changed(one, message=b"\x72"),
        two,
        _changed(two, key=one.key),
        _changed(one, signature=bytes(64)),
        _changed(one, signature=signature[:32] + added.to_bytes(32, "little")),  # the same point, written otherwise
        _changed(one, signature=signature[:-1]),
        _changed(one, key=one.key[:-1]),
        _changed(one, key=b"\xff" * 32),
        one,
    ]
    assert await verify_signatures(asked) == [True, False, True, False, False, False, False, False, False, True]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[SigningKey]:
    place = tmp_path_factory.mktemp("keys")
    return [create(place / name) for name in ("ayu", "budi", "citra")]


def _with_config(keys: list[SigningKey]) -> Root:
    bare = root()
    roles = {**bare.roles, "config": Role(tuple(key.public for key in keys), 2)}
    return Root(bare.version, bare.issued_ms, bare.expires_ms, roles)


def _message(keys: list[SigningKey], kind: str = CONFIG_TYPE) -> bytes:
    body = json.dumps(document()).encode()
    signed = dsse.pre_authentication(kind, body)
    return dsse.encode(dsse.to_json(CONFIG_TYPE, body, {key.public: key.sign(signed) for key in keys}))


async def test_a_configuration_that_two_maintainers_signed_is_taken(keys: list[SigningKey]) -> None:
    at = standing(trust=_with_config(keys))
    result = await run_verification(examine(_message(keys[:2]), at, FILES, FakeCatalog()))
    assert isinstance(result, Accepted)


@pytest.mark.parametrize(("number", "kind", "code"), [(1, CONFIG_TYPE, "threshold"), (2, "other", "wrong_key")])
async def test_real_signatures_below_the_threshold_are_refused(
    number: int, kind: str, code: str, keys: list[SigningKey]
) -> None:
    at = standing(trust=_with_config(keys))
    with pytest.raises(RejectedError) as caught:
        await run_verification(examine(_message(keys[:number], kind), at, FILES, FakeCatalog()))
    assert caught.value.code == code


async def test_a_message_that_is_known_starts_no_process() -> None:
    async def never(asked: object) -> list[bool]:
        raise AssertionError("nothing is verify_signatures")

    raw = b"whatever it was"
    at = standing(processed=frozenset({fingerprint(raw)}))
    assert await run_verification(examine(raw, at, FILES, FakeCatalog()), never) == NoChange()


async def test_the_library_is_not_in_this_process(tmp_path: Path) -> None:
    program = tmp_path / "verify.py"
    program.write_text(
        "import asyncio, sys\n"
        "from agent.update.signed.dsse import SignatureCheck\n"
        "from agent.update.io.signatures import verify_signatures\n"
        "print(asyncio.run(verify_signatures([SignatureCheck(bytes(32), b'', bytes(64))])))\n"
        "print('cryptography' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(Path.cwd())}
    )
    output, _ = await process.communicate()
    assert output.split() == [b"[False]", b"False"]


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        ("import sys; sys.exit(3)", "library_missing", "gardu[updates]"),
        ("import sys; sys.exit(1)", "verifier_failed", "exit status 1"),
        ("print('nonsense')", "verifier_failed", "no answer"),
        ("print('[true, true]')", "verifier_failed", "no answer"),
        ("print('[1]')", "verifier_failed", "no answer"),
        ("print('{}')", "verifier_failed", "no answer"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "verifier_failed", "exit status -9"),
    ],
)
async def test_a_verifier_that_fails_has_verified_nothing(program: str, code: str, why: str) -> None:
    with pytest.raises(RejectedError, match=why.replace("[", r"\[")) as caught:
        await verify_signatures(RFC_8032[:1], (sys.executable, "-c", program))
    assert caught.value.code == code
    assert caught.value.transient


async def test_a_verifier_that_is_not_there_has_verified_nothing() -> None:
    with pytest.raises(RejectedError) as caught:
        await verify_signatures(RFC_8032, ("/nonexistent/python",))
    assert caught.value.code == "verifier_failed"


def test_a_verifier_that_hangs_is_ended(tmp_path: Path) -> None:
    trace = tmp_path / "pid"
    program = f"import os, sys, time; open({str(trace)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(RejectedError, match="no answer within 1 s"):
        asyncio.run(verify_signatures(RFC_8032, (sys.executable, "-c", program), time_limit_s=1.0))
    assert not Path(f"/proc/{trace.read_text()}").exists()


async def test_without_the_library_the_program_says_so(tmp_path: Path) -> None:
    (tmp_path / "cryptography").mkdir()
    (tmp_path / "cryptography" / "__init__.py").write_text("raise ImportError\n")
    from agent.update.io import signatures

    program = (
        sys.executable,
        "-c",
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')",
        str(tmp_path),
        signatures.PROGRAM[-1],
    )
    with pytest.raises(RejectedError) as caught:
        await verify_signatures(RFC_8032, program)
    assert caught.value.code == "library_missing"


async def test_the_most_that_a_message_can_ask_is_answered_in_time() -> None:
    asked = [_changed(RFC_8032[0], message=bytes(48_000), signature=bytes([n]) * 64) for n in range(256)]
    assert await verify_signatures(asked, time_limit_s=10) == [False] * 256


def test_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "ayu.key"
    made = create(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load(file).public == made.public
    assert load(file).sign(b"x") == made.sign(b"x")
    file.chmod(0o640)
    with pytest.raises(InvalidKey, match="chmod 600"):
        load(file)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "ayu.key"
    file.write_text("precious")
    with pytest.raises(FileExistsError):
        create(file)
    assert file.read_text() == "precious"


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(InvalidKey, match="keygen"):
        load(file)


def test_a_key_of_another_kind(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    file = tmp_path / "key"
    file.write_bytes(
        X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    file.chmod(0o600)
    with pytest.raises(InvalidKey, match="Ed25519"):
        load(file)


@pytest.mark.virtual_time
async def test_a_verifier_rests_four_times_as_long_as_it_worked_and_does_one_thing_at_a_time() -> None:
    durations_s, spans = [1.0, 20.0, 1.0], list[tuple[float, float]]()
    now_s = asyncio.get_running_loop().time

    async def working(asked: Sequence[SignatureCheck]) -> Sequence[bool]:
        began_s = now_s()
        await asyncio.sleep(durations_s[len(spans)])
        spans.append((began_s, now_s()))
        if len(spans) == 2:
            raise RuntimeError("it ended badly")
        return [True for _ in asked]

    verifier = Verifier(working)
    results = await asyncio.gather(*(verifier(()) for _ in range(3)), return_exceptions=True)
    assert [isinstance(one, RuntimeError) for one in results] == [False, True, False]
    rests_s = [next_s - ended_s for (_, ended_s), (next_s, _) in itertools.pairwise(spans)]
    assert rests_s == pytest.approx([4.0, 10.0]), "but never longer than 10 s"
