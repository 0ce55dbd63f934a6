"""The four kinds of broker, with one certificate authority for all tests."""

import pytest

from tests.integration.network.broker_kind import Kind
from tests.support.pki import Authority

KINDS = {
    f"mqtt {name} {'tls' if tls else 'plain'}": (version, tls)
    for version, name in ((5, "5"), (4, "3.1.1"))
    for tls in (False, True)
}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


KINDS_5 = {name: kind for name, kind in KINDS.items() if kind[0] == 5}


def _kind(request: pytest.FixtureRequest, authority: Authority) -> Kind:
    version, tls = request.param
    return Kind(version, tls, authority.certificate, authority.issue("broker", "IP:127.0.0.1"))


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest, authority: Authority) -> Kind:
    return _kind(request, authority)


@pytest.fixture(params=KINDS_5.values(), ids=KINDS_5)
def kind_5(request: pytest.FixtureRequest, authority: Authority) -> Kind:
    """For what exists only in MQTT 5."""
    return _kind(request, authority)
