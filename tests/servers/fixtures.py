"""The servers as fixtures: one of each a test run, except the fault server, of which each test has its own."""

from __future__ import annotations

import pytest

from .azurite import Azurite
from .caddy import Caddy
from .fake_gcs import FakeGCS
from .faults import FaultServer
from .process import ServerMissing
from .seaweedfs import SeaweedFS


def _serve(kind, folder):
    """Start a server; fail, never skip, where it is not installed."""
    try:
        server = kind(folder)
    except ServerMissing as missing:
        pytest.fail(f"{missing}. The tests of remote reads need it; `make test` installs what pip can.", pytrace=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory):
    yield from _serve(SeaweedFS, tmp_path_factory.mktemp("seaweedfs"))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    yield from _serve(Azurite, tmp_path_factory.mktemp("azurite"))


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory):
    yield from _serve(FakeGCS, tmp_path_factory.mktemp("fake-gcs"))


@pytest.fixture(scope="session")
def caddy(tmp_path_factory):
    yield from _serve(Caddy, tmp_path_factory.mktemp("caddy"))


SERVERS = {"s3": "seaweedfs", "gs": "fake_gcs", "az": "azurite", "http": "caddy"}


@pytest.fixture(params=SERVERS)
def remote(request):
    """Each of the real servers in turn."""
    return request.getfixturevalue(SERVERS[request.param])


@pytest.fixture
def faults():
    """A fault server of the test's own, without objects and rules."""
    with FaultServer() as server:
        yield server
