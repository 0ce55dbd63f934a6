"""Which pair is shown to the broker, whatever was going on when the power was cut."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.base.errors import RejectedError as NotTaken
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.config.settings import Broker
from agent.delivery.connection import (
    BrokerUnreachable,
    ConnectionLost,
    ConnectionRefusedByBroker,
    NoConnack,
    UnsupportedVersion,
)
from agent.delivery.io.client_certificate import PROGRAM, ClientCertificate
from tests.support.pki import Authority

URL = "mqtts://broker.example"
MOMENT = TrustedTime(0, False, 0)


class Open:
    dropped = False

    def drop(self) -> None:
        self.dropped = True


def tls(text: str = "alert unknown ca") -> ConnectionLost:
    error = BrokerUnreachable(text)
    error.__cause__ = ssl.SSLError(1, text)
    return error


def away() -> ConnectionLost:
    error = BrokerUnreachable("nothing listens")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


class Post:
    """A gateway whose broker is a function: which certificate file it is shown, and what it says to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "certificates"
        self.authority = Authority(folder)
        self.own = self.authority.issue("pos-1")
        self.settings = Broker(url=URL, cert_file=str(self.own.certificate), key_file=str(self.own.key))
        self.shown: list[str] = []
        self.outcomes: list[str] = []
        self.restart()

    def restart(self, program: Sequence[str] = PROGRAM) -> None:
        self.client = ClientCertificate(self.folder, program)
        self.client.on_outcome = self.outcomes.append

    async def connect(self, **answers: ConnectionLost) -> Open:
        """Connect once. ``answers``: of the broker, by the stem of the file; all others are taken."""

        async def attempt(settings: Broker) -> Open:
            stem = Path(settings.cert_file).stem
            self.shown.append(stem)
            name = stem.replace("-", "_")
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(settings.cert_file, settings.key_file)
            except OSError as error:
                raise BrokerUnreachable("cannot be used") from error
            if name in answers:
                raise answers[name]
            return Open()

        self.shown.clear()
        return await self.client.connect(self.settings, URL, attempt)

    async def stage(self) -> None:
        """Get as far as a pair on trial."""
        await self.client.request(self.settings, "pos-1")
        key = self.folder / "request.key"
        made = self.authority.issue_for(key, "pos-1")
        await self.client.stage(self.settings, "pos-1", made.read_text(), MOMENT)

    @property
    def files(self) -> set[str]:
        return {one.name for one in self.folder.iterdir()} if self.folder.exists() else set()


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


async def test_without_a_renewal_there_is_one_pair_and_nothing_is_written(post: Post) -> None:
    await post.connect()
    assert (post.shown, post.files) == (["pos-1"], set())
    with pytest.raises(BrokerUnreachable):
        await post.connect(pos_1=tls())


async def test_a_pair_on_trial_is_shown_first_and_kept_once_it_was_taken(post: Post) -> None:
    await post.stage()
    await post.connect()
    assert (post.shown, post.files, post.outcomes) == (["trial"], {"renewed.pem"}, [""])
    post.restart()
    await post.connect()
    assert post.shown == ["renewed"]
    await post.connect(renewed=tls())
    assert post.shown == ["renewed", "pos-1"]
    assert post.files == {"renewed.pem"}, "it was proven: a broker that does not want it today may want it again"


@pytest.mark.parametrize(
    "error", [tls(), ConnectionRefusedByBroker("login"), NoConnack("closed"), ConnectionLost("not ready")]
)
async def test_a_pair_on_trial_that_is_not_taken_where_the_one_before_is_is_dropped(
    post: Post, error: ConnectionLost
) -> None:
    await post.stage()
    await post.connect(trial=error)
    assert (post.shown, post.files, post.outcomes) == (["trial", "pos-1"], set(), [str(error)])
    post.restart()
    await post.connect()
    assert post.shown == ["pos-1"]


async def test_a_broker_that_is_away_says_nothing_of_the_pair(post: Post) -> None:
    await post.stage()
    for error in (away(), UnsupportedVersion("3.1.1")):
        with pytest.raises(type(error)):
            await post.connect(trial=error)
        assert post.shown == ["trial"]
    # None is taken: nothing is known.
    post.restart()
    with pytest.raises(BrokerUnreachable):
        await post.connect(trial=tls(), pos_1=tls())
    assert post.files == {"trial.pem"}
    await post.connect()
    assert post.outcomes == [""]


async def test_a_pair_that_fails_again_and_again_for_whatever_reason_is_not_waited_for(post: Post) -> None:
    await post.stage()
    for _ in range(2):
        with pytest.raises(BrokerUnreachable):
            await post.connect(trial=away())
    await post.connect(trial=away())
    assert (post.shown, post.outcomes) == (["trial", "pos-1"], ["nothing listens"])


@pytest.mark.parametrize("answers", [("trial", "pos_1"), ("pos_1", "trial")])
async def test_a_hint_at_the_version_of_mqtt_is_not_hidden_by_another_failure(
    post: Post, answers: Sequence[str]
) -> None:
    await post.stage()
    silent, refused = answers
    with pytest.raises(NoConnack):
        await post.connect(**{silent: NoConnack("closed"), refused: tls()})


async def test_the_power_may_be_cut_after_any_write_and_a_card_may_break_a_file(post: Post) -> None:
    await post.client.request(post.settings, "pos-1")
    key = (post.folder / "request.key").read_text()
    made = post.authority.issue_for(post.folder / "request.key", "pos-1").read_text()
    await post.client.stage(post.settings, "pos-1", made, MOMENT)
    pair = (post.folder / "trial.pem").read_text()
    half = pair[: len(pair) // 2]
    cuts: list[tuple[dict[str, str], str]] = [
        ({"request.key": key}, "pos-1"),
        ({"request.key": key, "trial.pem.new": half}, "pos-1"),
        ({"request.key": key, "trial.pem": pair}, "trial"),
        ({"trial.pem": pair}, "trial"),
        ({"trial.pem": pair, "renewed.pem.new": half}, "trial"),
        ({"trial.pem": pair, "renewed.pem": pair}, "trial"),
        ({"renewed.pem": pair}, "renewed"),
        ({"trial.pem": half}, "pos-1"),
        ({"trial.pem": ""}, "pos-1"),
        ({"trial.pem": half, "renewed.pem": pair}, "renewed"),
        ({"renewed.pem": half}, "pos-1"),
        ({"ends": "x"}, "pos-1"),
    ]
    for there, shown in cuts:
        for file in post.folder.iterdir():
            file.unlink()
        for name, text in there.items():
            (post.folder / name).write_text(text)
        post.restart()
        await post.connect()
        assert post.shown[-1] == shown, there
        assert not (post.folder / "trial.pem").exists() or there == {"trial.pem": ""}
        await post.client.ends_ms(post.settings)


async def test_a_certificate_that_was_put_in_later_wins_and_the_renewed_one_stands_by(post: Post) -> None:
    await post.stage()
    await post.connect()
    other = post.authority.issue("pos-1-new")
    post.own.certificate.write_text("# copied by hand\n" + post.own.certificate.read_text() + "\n\n")
    await post.connect()
    assert post.shown == ["renewed"], "the same one, written otherwise"
    post.own.certificate.write_bytes(other.certificate.read_bytes())
    post.own.key.write_bytes(other.key.read_bytes())
    await post.connect()
    assert post.shown == ["pos-1"]
    await post.connect(pos_1=tls())
    assert post.shown == ["pos-1", "renewed"]
    post.own.certificate.unlink()
    await post.connect()
    assert post.shown == ["renewed"], "none is there: it cannot be a later one"


async def test_the_end_is_read_once_for_each_and_kept(post: Post) -> None:
    first = await post.client.ends_ms(post.settings)
    await post.stage()
    await post.connect()
    assert await post.client.ends_ms(post.settings) > first, "of the pair that is in use"
    post.restart(program=("false",))
    assert await post.client.ends_ms(post.settings) > first
    (post.folder / "renewed.pem").unlink()
    with pytest.raises(NotTaken):
        await post.client.ends_ms(post.settings)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (("sh", "-c", "exit 3"), "library_missing"),
        (("sh", "-c", "exit 4"), "malformed"),
        (("no-such",), "failed"),
        (("sh", "-c", "exit 9"), "failed"),
        (("echo", "x"), "failed"),
    ],
)
async def test_a_child_that_fails_is_one_line(post: Post, program: Sequence[str], code: str) -> None:
    post.restart(program)
    with pytest.raises(NotTaken) as caught:
        await post.client.request(post.settings, "pos-1")
    assert (caught.value.code, str(caught.value).count("\n")) == (code, 0)
    assert post.files == set()


@pytest.mark.parametrize(
    "settings", [Broker(url=URL), Broker(url="mqtt://broker.example", cert_file="a", key_file="b")]
)
async def test_who_shows_no_certificate_cannot_renew_one(post: Post, settings: Broker) -> None:
    with pytest.raises(NotTaken) as caught:
        await post.client.request(settings, "pos-1")
    assert caught.value.code == "no_certificate"


async def test_a_connection_is_not_left_behind_when_the_agent_stops(post: Post) -> None:
    await post.stage()
    opened = Open()

    async def attempt(settings: Broker) -> Open:
        return opened

    post.client.on_outcome = lambda why: (_ for _ in ()).throw(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await post.client.connect(post.settings, URL, attempt)
    assert opened.dropped


async def test_a_card_that_gives_nothing_away_does_not_cost_the_connection(post: Post) -> None:
    await post.stage()
    trial = post.folder / "trial.pem"

    async def attempt(settings: Broker) -> Open:
        if settings.cert_file == str(trial):
            trial.unlink()
            trial.mkdir()
            raise tls()
        return Open()

    await post.client.connect(post.settings, URL, attempt)
    assert (trial.is_dir(), post.outcomes) == (True, ["alert unknown ca"])


def test_only_its_user_can_read_what_is_kept(post: Post) -> None:
    asyncio.run(post.stage())
    modes = {one.name: one.stat().st_mode & 0o777 for one in (post.folder, *post.folder.iterdir())}
    assert modes == {"certificates": 0o700, "trial.pem": 0o600}
